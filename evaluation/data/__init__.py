"""Data sets: questions about images with their right answers, one row after the other.

In: rows. Out: questions. Read `data_set.py` first.
"""
