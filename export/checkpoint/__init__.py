"""A checkpoint on disk or on the Hub is read: configuration, processor, weights.

In: a folder or a name on the Hub. Out: a `Checkpoint` whose tensors are read when needed.
Read `checkpoint.py` first.
"""
