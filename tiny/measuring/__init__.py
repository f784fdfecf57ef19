"""How often uhd-tiny is right, by kind of question.

In: a checkpoint or a bundle. Out: a table of exact answers.
Read `measure.py` first.
"""
