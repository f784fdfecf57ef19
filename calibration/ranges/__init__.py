"""Numbers for INT8: what the activations look like, and how each layer is to be rounded.

In: activations of the calibration pictures. Out: smoothing, ranges and the plan for each linear.
Read `activations.py` first, then `ranges.py`.
"""
