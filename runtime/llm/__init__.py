"""The language model: token ids and embeddings become text, by llama.cpp.

In: a prompt as chunks of ids and embeddings. Out: tokens, one after the other, and their text.
Read `language_model.py` first.
"""
