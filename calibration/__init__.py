"""INT8 and FP8 quantization, measured on the user's own pictures.

In: a bundle and pictures. Out: quantized graphs in the bundle, and a report of what they cost.
Read `calibrate.py` first; `ranges/` finds the numbers and `graphs/` writes the graphs.
"""
