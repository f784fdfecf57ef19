"""The world of uhd-tiny: scenes, how they are drawn, and what can be asked about them.

In: a random generator. Out: pictures, questions, right answers and labels.
Read `scenes.py` first.
"""
