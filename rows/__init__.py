"""Rows on disk: questions about pictures in files of many kinds, and files that answers are appended to.

In: a file, a folder or a pattern. Out: rows one by one, and journals that outlive a killed process.
Read `source.py` first.
"""
