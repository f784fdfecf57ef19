"""Building and verifying a bundle's engines, and a report on what this machine can run.

In: a bundle, and an engine or a target. Out: reports that compare an engine with FP32.
Read `verify.py` first.
"""
