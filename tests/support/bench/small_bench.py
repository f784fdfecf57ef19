"""Pictures and settings for a measurement that takes almost no time."""

from __future__ import annotations

from uhd_edge.bench.configuration import Settings
from uhd_edge.bench.pictures import drawn_picture

SMALL, SLICED = drawn_picture(224, 224), drawn_picture(448, 300)
ONCE = Settings(rounds=1, warm_up=0, max_tokens=4, threads=1)
