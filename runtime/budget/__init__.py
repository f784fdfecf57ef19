"""What a question costs on this machine, and how to look at its images within a time.

In: the images' sizes and a budget in milliseconds. Out: the mode and the number of slices.
Read `planning.py` first; `cost_measuring.py` is where the numbers come from.
"""
