"""One frame of a camera, as it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class RawImage:
    """One frame as `sensor_msgs/Image` has it.

    Attributes:
        encoding: One of `decoding.ENCODINGS`, in small or capital letters.
        width, height: Pixels.
        data: The bytes of all rows.
        step: Bytes from one row to the next; 0 is a row's own length, without a gap.
        is_bigendian: Whether values of 16 and 32 bits have their high byte first.
    """

    encoding: str
    width: int
    height: int
    data: bytes | bytearray | memoryview | NDArray[np.uint8]
    step: int = 0
    is_bigendian: bool = False
