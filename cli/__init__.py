"""The `uhd` command: it opens a bundle, calls the code and prints.

In: the words of the command line. Out: an answer on standard output, and an exit code.
Read `main.py` first.
"""
