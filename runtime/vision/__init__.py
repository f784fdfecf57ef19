"""A picture becomes embeddings: slices, patches, encoder engine, connector engine.

In: an RGB picture. Out: `Encoded`, float32 embeddings [n, d_llm] with the grid they came from.
Read `encoder.py` first; it calls the other steps in order.
"""
