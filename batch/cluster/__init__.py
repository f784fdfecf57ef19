"""Groups answered on many machines, by Ray: `uhd batch --ray`.

In: groups of questions. Out: their rows, whichever worker answered them and however many died.
Read `answering.py` first, then `pool.py`.
"""
