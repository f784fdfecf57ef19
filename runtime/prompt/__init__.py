"""A conversation becomes text with places for embeddings, laid out as the checkpoint expects it.

In: messages and the grids of their images. Out: segments for the language model.
Read `layout.py` first; `room.py` tells whether a prompt fits into the context.
"""
