"""A JSON schema becomes a grammar, and the answer written by it a checked value.

In: a schema or a pydantic model. Out: a GBNF grammar for the sampler, and the parsed answer.
Read `answer_schema.py` first.
"""
