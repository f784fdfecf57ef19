"""Makes bundles with random weights in the sizes of a real model, to measure it without downloading it.

In: the name of a model. Out: a bundle with its sizes, kept in the user's cache.
Read `bundle.py` first.
"""
