"""Trains uhd-tiny: first the tower, then the language model, then both together.

In: the world and a recipe. Out: a checkpoint.
Read `recipe.py` first, then `train.py`.
"""
