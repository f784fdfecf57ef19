"""Trains uhd-tiny: its tower and its language model, each alone at first, then both together.

In: the world and a recipe. Out: a checkpoint.
Read `recipe.py` first, then `train.py`.
"""
