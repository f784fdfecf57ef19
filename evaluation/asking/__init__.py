"""Asking the questions of a data set in every setting, and keeping the answers.

In: a bundle, a data set and settings. Out: a file of answers for each setting. Read `run.py` first.
"""
