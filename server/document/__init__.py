"""`/openapi.json`: the server's addresses, described for programs (OpenAPI 3.1).

In: the model and what the server was started with. Out: one JSON object. Read `whole.py` first.
"""
