"""Groups answered on many machines, by Ray Data: `uhd batch --ray`.

In: groups of questions. Out: their rows, in order, whichever worker answered them and however many died.
Read `answering.py` first.
"""
