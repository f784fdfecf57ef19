"""INT8 and FP8 graphs for TensorRT computed in numpy, rounded where an engine rounds, so that no GPU is needed.

In: a bundle with such graphs, and pictures. Out: embeddings, and the sums that exceed FP16.
Read `simulate.py` first, then `engine.py`.
"""
