"""Taking it out: runs as files that say what the pages say.

cells      what a cell may hold, and the rules by which text stays text in a spreadsheet
tables     the steps, the costs and the list as tables, read part by part
form_csv   a table as CSV        form_xlsx  a table as an Excel workbook
record     a run as JSON, in the very shapes that the JSON API answers with
progress   how far a file that is being made is, told over Redis
answers    the answers that carry them

Nothing here holds a whole file or all texts of a run: each part is read, written and forgotten, and
between two parts no database connection is held.
"""
