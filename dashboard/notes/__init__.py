"""What people write beside the record: notes on runs and steps, with mentions, and labels of runs.

For people of the house alone: no share link, no export and no answer of the API holds any of it.
"""
