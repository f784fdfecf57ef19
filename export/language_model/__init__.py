"""The language half of a checkpoint becomes a quantized GGUF, by llama.cpp's own converter.

In: a checkpoint's text model and tokenizer. Out: one GGUF file that knows the same tokens.
Read `conversion.py` first.
"""
