"""A picture as what a terminal shows it by: kitty's graphics protocol, or sixels."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_CHUNK = 4096  # base64 in one of kitty's commands
_COLOURS = 128  # of 256 that terminals have; fewer are written sooner
_BAND = 6  # rows in a sixel


def kitty_escapes(image: Image.Image) -> bytes:
    """Return the commands that show an RGB picture at the cursor; the terminal does not reply to them.

    Follows kitty's "Terminal graphics protocol": PNG (f=100), sent and shown (a=T), quiet (q=2), in chunks (m).
    """
    file = io.BytesIO()
    image.save(file, "PNG")
    data = base64.standard_b64encode(file.getvalue())
    chunks = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    commands = []
    for number, chunk in enumerate(chunks):
        more = int(number + 1 < len(chunks))
        keys = f"a=T,f=100,q=2,m={more}" if number == 0 else f"m={more}"
        commands.append(b"\x1b_G" + keys.encode() + b";" + chunk + b"\x1b\\")
    return b"".join(commands) + b"\n"


def sixel_escapes(image: Image.Image) -> bytes:
    """Return the sixels that show an RGB picture at the cursor, in 128 colours.

    Follows DEC's "VT330/VT340 Programmer Reference Manual", chapter 14: six rows to a band, each
    colour of a band in a pass of its own, runs shortened.
    """
    reduced = image.quantize(_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    indices = np.asarray(reduced, dtype=np.uint8)
    palette = (reduced.getpalette() or [])[: 3 * _COLOURS]
    colours = "".join(
        f"#{number};2;{red * 100 // 255};{green * 100 // 255};{blue * 100 // 255}"
        for number, (red, green, blue) in enumerate(zip(*[iter(palette)] * 3, strict=False))
    )
    height, width = indices.shape
    bands = [_band(indices[top : top + _BAND]) for top in range(0, height, _BAND)]
    return f'\x1bP0;1;0q"1;1;{width};{height}{colours}{"-".join(bands)}\x1b\\\n'.encode("ascii")


def _band(indices: NDArray[np.uint8]) -> str:
    """The passes of up to six rows; `$` goes back to the left."""
    weights = (1 << np.arange(len(indices), dtype=np.uint8))[:, None]
    passes = []
    for colour in np.unique(indices).tolist():
        columns = ((indices == colour) * weights).sum(axis=0, dtype=np.uint8)
        passes.append(f"#{colour}" + "".join(_runs(columns)))
    return "$".join(passes)


def _runs(columns: NDArray[np.uint8]) -> Iterator[str]:
    """Sixels, each the character of its six bits; from four on, equal ones are counted."""
    edges = np.flatnonzero(np.diff(columns)) + 1
    starts = [0, *edges.tolist()]
    for start, end in zip(starts, [*starts[1:], len(columns)], strict=True):
        sixel, length = chr(63 + int(columns[start])), end - start
        yield f"!{length}{sixel}" if length > 3 else sixel * length
