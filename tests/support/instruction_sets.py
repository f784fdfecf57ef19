"""Which instruction sets the tests run on: a test that depends on one has a twin for the other case."""

from __future__ import annotations

import pytest

from uhd_edge.engines.processor import Processor, this_processor

HERE = this_processor()
WITH_VNNI = Processor("x86_64", frozenset({"avx2", "avx_vnni"}))
WITHOUT_VNNI = Processor("x86_64", frozenset({"avx2"}))

# Older x86 than AVX2 computes INT8 by other products, slowly and exactly.
SATURATES = HERE.int8_saturates and "avx2" in HERE.features

where_int8_saturates = pytest.mark.skipif(not SATURATES, reason="this processor adds up INT8 products in 32 bits")
where_int8_is_exact = pytest.mark.skipif(SATURATES, reason="this processor adds up INT8 products in 16 bits")
