"""What building and running a bundle takes in memory, and which settings fit: predicted, nothing is opened.

In: a bundle's manifest, the sizes of its files, and settings. Out: a `MemoryNeed`, part by part.
Read `need.py` first; `running.py` and `building.py` add the parts up, and `measured.py` has what was measured.
"""
