"""Engines that run a graph, whatever the device.

In: a graph or engine file. Out: an open `Engine`: named numpy arrays in, named numpy arrays out.
Read `engine.py` first, then `selection.py`.
"""
