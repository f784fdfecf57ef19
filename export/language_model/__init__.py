"""Turns the text model of a checkpoint into a GGUF, with llama.cpp's own converter, and quantizes it.

In: a checkpoint's text model and tokenizer. Out: one GGUF file with the same tokens.
Read `conversion.py` first.
"""
