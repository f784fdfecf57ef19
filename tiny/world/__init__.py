"""The world of uhd-tiny: scenes, how they are drawn, and the questions about them.

In: a seed. Out: pictures, questions, right answers and labels.
Read `scenes.py` first.
"""
