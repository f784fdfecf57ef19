"""How uhd-tiny is trained, from seeing to reading to answering.

In: the world and a recipe. Out: a checkpoint.
Read `recipe.py` first, then `train.py`.
"""
