"""Lets llama.cpp keep time apart from order, for language models whose images stand still in time.

In interleaved M-RoPE each pair of a head's dimensions is rotated by one of the four numbers of a
position: time, height and width take turns, as far as their sections reach, and what none of the
three reaches is rotated by the fourth. llama.cpp 0.3.36 also orders tokens by the first number, so
that a token would not see those after it in an image. With a section of zero the first number
rotates nothing and only orders; time moves to the fourth. The header changes in place, four
numbers of it; the weights stay as they are.

Newer converters of llama.cpp say in a key of its own that time is the fourth number, and leave the
sections as they were. llama.cpp 0.3.36 passes over it; one that knows it would move time a second
time, so its name changes to one that nobody knows.
"""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import ModelError
from uhd_edge.runtime.llm.gguf_header import TIME_SLOT, find_sections, find_time_slot

if TYPE_CHECKING:
    from pathlib import Path


def move_time_to_fourth(file: Path, *, name: str) -> None:
    """Write the sections (0, height, width, time) in place of (time, height, width, 0) into a GGUF.

    A file that has them already stays as it is. Messages call it `name`. Raises `ModelError` for a
    file without interleaved M-RoPE.
    """
    found = find_sections(file)
    if found is None or len(found[1]) != 4:
        raise ModelError(
            f"{name}: has no positions in time and plane (rope.dimension_sections); "
            "take the language model that belongs to the checkpoint"
        )
    place, (first, height, width, fourth) = found
    if first != 0 and fourth != 0:
        raise ModelError(f"{name}: its rope.dimension_sections are {list(found[1])}; the fourth must be 0")
    time_slot = find_time_slot(file)
    with file.open("r+b") as stream:
        if first != 0:
            stream.seek(place)
            stream.write(pack("<4i", 0, height, width, first))
        if time_slot is not None:
            stream.seek(time_slot)
            stream.write(TIME_SLOT.replace("slot", "told").encode())
