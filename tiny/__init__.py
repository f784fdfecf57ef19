"""uhd-tiny, the built-in toy model: the world it knows, how it is trained, and how often it is right.

In: only seeds; nothing is downloaded. Out: a checkpoint, which `uhd export` turns into the built-in bundle.
Read `world/` first, then `training/` and `measuring/`; `RESULTS.md` has the figures.
"""
