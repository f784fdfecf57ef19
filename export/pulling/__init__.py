"""`uhd pull`: a model from the Hub to a bundle that is kept under a name.

In: a known name, a repository on the Hub, or a folder. Out: a bundle in the models' folder.
Read `pull.py` first.
"""
