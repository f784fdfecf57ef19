"""OpenAI's chat completions, into which the other APIs are translated.

In: bodies of requests. Out: questions for the assistant, and its answers as OpenAI's clients read them.
Read `chat.py` first.
"""
