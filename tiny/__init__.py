"""uhd-tiny, the built-in toy model: the world it knows, how it is trained, and how often it is right.

In: random generators, for nothing is downloaded. Out: a checkpoint, which `uhd export` makes into the bundle.
Read `world/` first, then `training/` and `measuring/`; `RESULTS.md` has the figures.
"""
