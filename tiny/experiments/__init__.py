"""The tables of the paper in small: ways of encoding, trained alike and compared.

In: a tower that has learned to see, and a language model that reads its tokens. Out: what each way gets right.
Read `rows.py` first, then `run.py`.
"""
