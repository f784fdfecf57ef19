"""The same questions to many pictures: `uhd batch`.

In: a bundle, rows or pictures, and questions. Out: one row for each picture and question, in order, in files that
a stopped run goes on with. Read `run.py` first, then `lanes.py`.
"""
