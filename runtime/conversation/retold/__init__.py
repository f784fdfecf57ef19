"""Conversations that a client tells again from the beginning, with every question, as those of a server do.

In: a question with all that was said before. Out: the place that has read that, and images under the numbers they had.
Read `reading.py` first.
"""
