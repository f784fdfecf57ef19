"""Times every stage of an answer. Configurations take turns, and each engine has a process of its own.

In: a bundle, sizes of pictures, modes, precisions and engines. Out: a report, as a table, JSON or a plot.
Read `configuration.py` first, then `rounds.py`.
"""
