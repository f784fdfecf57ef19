"""Parameters for INT8: statistics of the activations, and how each layer is rounded.

In: activations of the calibration pictures. Out: smoothing and range of each site, and the quantization plan.
Read `activations.py` first, then `ranges.py`.
"""
