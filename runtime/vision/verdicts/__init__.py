"""What is known of TensorRT engines on this GPU: whether they agree with FP32, and how fast they are.

In: open engines of a mode, and the FP32 graphs. Out: verdicts, kept in the bundle's `engines/verified.json`.
Read `first_check.py` first.
"""
