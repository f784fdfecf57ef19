"""The commands that measure: time, right answers, operations.

In: a bundle and what to measure. Out: tables, JSON and reports. Read `bench.py` first.
"""
