"""The turns of a conversation: what was said, which images were seen, what is still in memory.

In: a request and the turns before it. Out: a prompt that fits, read from where it is new.
Read `turns.py` first, then `fitting.py`.
"""
