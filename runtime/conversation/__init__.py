"""The turns of a conversation: what was said, which images were seen, what is still in memory.

In: a request and the turns before it. Out: a prompt that fits, of which only the new part is prefilled.
Read `turns.py` first, then `fitting.py`.
"""
