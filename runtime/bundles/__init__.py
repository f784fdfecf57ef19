"""The bundle: one folder with the graphs, the language model and what both need to know.

In: a folder on disk. Out: a validated `Bundle`, or a bundle that has been changed safely.
Read `manifest.py` first, then `bundle.py`.
"""
