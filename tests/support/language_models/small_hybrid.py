"""A small language model with recurrent layers and attention, as Qwen3.5 has them."""

from __future__ import annotations

from uhd_edge.bench.synthetic.random_hybrid import RandomHybrid

SMALL_HYBRID = RandomHybrid(
    hidden=64,
    intermediate=96,
    layers=4,
    heads=2,
    kv_heads=1,
    head=32,
    linear_heads=2,
    linear_head=32,
    rotary=16,
    vocabulary=400,
    context=512,
)
