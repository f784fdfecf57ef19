"""OpenAI's API.

In: bodies of requests. Out: questions for the assistant, and its answers as OpenAI's clients read them.
Read `chat.py` first.
"""
