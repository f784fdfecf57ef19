"""OpenAI's `/v1/responses`.

In: bodies of requests. Out: questions for the assistant, and its answers as responses. Read `dialect.py` first.
"""
