"""How often a model is right: questions with known answers, asked in several settings, compared.

In: a bundle, a data set and settings. Out: rows in files that a stopped run goes on with, a table, JSON, and a report
in HTML. Read `asking/run.py` first, then `report/summary.py`.
"""
