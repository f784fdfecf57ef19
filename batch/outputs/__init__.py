"""Where rows go: one file of JSON lines, or a folder of parquet files.

In: rows in the order of their numbers. Out: files with one row for each number, however often the program was killed.
Read `opening.py` first.
"""
