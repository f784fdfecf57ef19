"""Rewrites graphs for ONNX Runtime's CPU provider while they are opened, so that files in a bundle stay plain ONNX.

In: an ONNX file. Out: its bytes with faster operators. Read `attention.py` first.
"""
