"""Bundles with random weights of real sizes, to time a model whose weights are not at hand.

In: the name of a model. Out: a bundle of its geometry, kept in the user's cache.
Read `bundle.py` first.
"""
