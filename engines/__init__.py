"""Engines that run a graph: named numpy arrays in, named numpy arrays out."""
