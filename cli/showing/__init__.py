"""How a picture is looked at, drawn over it, for people at a terminal.

In: a picture, how it is cut, and its views. Out: the same picture with grid and tokens, in the terminal or in a file.
Read `overlay.py` first.
"""
