"""Sizes of memory as people write them."""

from __future__ import annotations

import re

from uhd_edge.runtime.errors import OptionError

_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY_UNITS = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_SIZE = re.compile(r"\s*(\d{1,12}(?:\.\d{1,12})?)\s*([kmgt])(i?)b?\s*", re.IGNORECASE | re.ASCII)

LEAST, MOST = 10**8, 10**14  # bytes


def parse_memory(name: str, text: str) -> int:
    """Return the bytes of `text`: 8GB and 8000MB are powers of ten, 7.4GiB is one of two.

    Raises `OptionError` for other words, and outside of 100 MB to 100 TB; `name` is the option's.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise OptionError(f"{name} is {text!r}; write a size with its unit, such as 8GB, 7.4GiB or 8000MB")
    number, unit, binary = found[1], found[2].lower(), found[3]
    size = round(float(number) * (_BINARY_UNITS if binary else _UNITS)[unit])
    if not LEAST <= size <= MOST:
        raise OptionError(f"{name} is {text.strip()}; it must be from 100MB to 100TB")
    return size
