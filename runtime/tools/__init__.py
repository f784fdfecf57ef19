"""Functions that a model may call: how they are described to it, and how its calls are read.

In: Python functions or JSON definitions. Out: a `ToolSet` for the prompt, a grammar for a call, and
the call that a text holds. Read `tool_set.py` first.
"""
