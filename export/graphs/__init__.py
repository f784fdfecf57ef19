"""The vision tower becomes ONNX graphs, in FP32 and FP16, that share one file of weights.

In: a vision tower's configuration and weights. Out: encoder and connector graphs.
Read `graphs.py` first, then `onnx_tower.py`.
"""
