"""How an answer is scored: the definitions of the field, each with its source.

In: an answer and what is known of the right one (`Reference`). Out: a score from 0 to 1. Read `names.py` first.
"""
