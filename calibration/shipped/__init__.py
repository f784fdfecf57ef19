"""Pictures to calibrate with where the user has none at hand.

In: the side of a bundle's views. Out: picture files, the same every time.
Read `picture_set.py` first.
"""
