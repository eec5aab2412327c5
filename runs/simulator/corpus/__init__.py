"""Bulk text for tool outputs: passages, testimony, records. All parties and matters are invented.

Each function draws from the generator that it is given, so a seed fixes every word.
"""
