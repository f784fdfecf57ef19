"""Reads a checkpoint from the disk or the Hub: its configuration, its processor and its weights.

In: a folder or a name on the Hub. Out: a `Checkpoint` whose tensors are read when needed.
Read `checkpoint.py` first.
"""
