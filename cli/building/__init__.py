"""What `uhd build` says and writes beside engines.

In: what was ordered, and the machine. Out: lines about memory, and kits.
Read `kit_output.py` first.
"""
