"""What came of a run: shares of right answers with intervals, comparisons, and the questions that settings differ on.

In: a data set and the files of its answers. Out: a table, JSON, HTML. Read `summary.py` first.
"""
