"""The model's tokens become an answer: its thoughts apart from its text.

In: a prompt that has been read, and the request. Out: pieces of text, then a `WrittenAnswer`.
Read `writing.py` first.
"""
