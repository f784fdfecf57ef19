"""Ollama's API.

In: bodies of requests. Out: questions for the assistant, and its answers as Ollama's clients read them.
Read `dialects.py` first.
"""
