"""The page at `/`: a picture, a question, and what the model sees of it.

In: requests of a browser. Out: the page's own files, and how a picture would be cut. Read `routes.py` first.
"""
