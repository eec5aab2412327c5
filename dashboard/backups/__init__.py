"""Backups: one file that holds a whole database at one moment, and the way back from it.

container   the file: a zip of data and a manifest with a digest of each part
sqlite      the database file, through SQLite's online backup
postgresql  every table, by COPY in one snapshot; needs no program of PostgreSQL's
carry       what must not be undone by going back: ended links, lost rights, fences
aftermath   what is set right in a restored database before anybody uses it
"""
