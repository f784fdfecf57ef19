"""Data sets: questions about images with their right answers, read row by row.

In: a file of JSON lines, a TSV of VLMEvalKit, or a folder of parquet files. Out: questions. Read `data_set.py` first.
"""
