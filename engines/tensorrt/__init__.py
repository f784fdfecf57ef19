"""TensorRT engines on a GPU: memory, streams, CUDA graphs and execution contexts.

In: an engine file and named arrays. Out: named arrays.
Read `engine.py` first.
"""
