"""The commands of `uhd`, one file each, with a function of the same name.

In: options that click has checked. Out: what is printed.
Read `ask.py` first.
"""
