"""Turns a checkpoint into a bundle. Only this folder and those that train, calibrate or measure need torch or onnx.

In: a checkpoint's folder or its name on the Hub. Out: a bundle: ONNX graphs and a GGUF in one folder.
Read `export.py` first, then `checkpoint/`, `graphs/` and `language_model/` in this order.
"""
