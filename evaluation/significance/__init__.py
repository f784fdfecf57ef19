"""Whether a number or a difference is more than chance.

In: the scores of the same questions. Out: intervals and probabilities. Read `intervals.py` first.
"""
