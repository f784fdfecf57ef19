"""A conversation becomes token ids with slots for embeddings, laid out as the checkpoint expects it.

In: messages and the slice plans of their images. Out: a `PromptLayout`, and its chunks once they are filled.
Read `layout.py` first; `room.py` tells whether a prompt fits into the context.
"""
