"""Makes damaged pictures by seed. As a program, it loads them and prints the outcome of each.

    python tests/support/mutated_images.py FIRST COUNT     one JSON object on standard output

A test runs it in a process of its own. So it notices a crash, a message from a C library or too
much memory, and is not harmed by it.
"""

from __future__ import annotations

import collections
import io
import itertools
import json
import random
import struct
import sys
import time
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from uhd_edge.bench.memory import peak_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
SIZES = (0, 1, 2, 7, 255, 256, 4096, 10_000, 16_383, 32_768, 65_535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def originals() -> dict[str, list[bytes]]:
    """Undamaged files of each kind, in the variants that its decoder knows."""
    values = np.random.default_rng(0).integers(0, 256, (24, 32, 4), dtype=np.uint8)
    smooth = Image.fromarray(values[:3, :4, :3]).resize((32, 24))
    clear = Image.fromarray(values, "RGBA")
    palette, grey = smooth.quantize(40), smooth.convert("L")
    frames: dict[str, Any] = {"save_all": True, "append_images": [grey.convert("RGB"), smooth]}
    upright = Image.Exif()
    upright[0x0112] = 6
    deep = Image.fromarray(values[..., 0].astype(np.uint16) * 200)
    return {
        "PNG": [
            saved(smooth, "PNG", exif=upright),
            saved(clear, "PNG", icc_profile=bytes(range(200))),
            saved(palette, "PNG", transparency=3),
            saved(palette, "PNG", transparency=bytes(range(40))),
            saved(grey.convert("1"), "PNG"),
            saved(deep, "PNG"),
            saved(smooth, "PNG", transparency=(1, 2, 3), dpi=(72, 72)),
            saved(smooth, "PNG", **frames),
        ],
        "JPEG": [
            saved(smooth, "JPEG", exif=upright),
            saved(smooth, "JPEG", progressive=True, quality=95, subsampling=0),
            saved(grey, "JPEG", restart_marker_blocks=1),
            saved(smooth.convert("CMYK"), "JPEG", icc_profile=bytes(range(200))),
            saved(smooth, "MPO", **frames),
        ],
        "WEBP": [
            saved(smooth, "WEBP", exif=upright),
            saved(smooth, "WEBP", lossless=True),
            saved(clear, "WEBP", quality=50, icc_profile=bytes(range(200))),
            saved(clear, "WEBP", **frames),
        ],
        "GIF": [
            saved(palette, "GIF", transparency=2, comment=b"a comment"),
            saved(grey, "GIF", interlace=False),
            saved(smooth, "GIF", loop=3, disposal=2, **frames),
        ],
        "BMP": [*(saved(image, "BMP") for image in (smooth, clear, palette, grey, grey.convert("1"))), run_lengths()],
    }


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def run_lengths() -> bytes:
    """A BMP of 32x24 with a palette and compressed rows. Pillow can read this, but not write it."""
    row = b"\x20\x05\x00\x00"
    pixels = row * 12 + b"\x00\x04\x01\x02\x03\x04\x1c\x07\x00\x00" * 12 + b"\x00\x01"
    header = struct.pack("<IiiHHIIiiII", 40, 32, 24, 1, 8, 1, len(pixels), 2835, 2835, 256, 0)
    colours = bytes(itertools.chain.from_iterable((level, level, level, 0) for level in range(256)))
    start = 14 + len(header) + len(colours)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + header + colours + pixels


def mutated(seed: int, files: dict[str, list[bytes]]) -> tuple[str, bytes]:
    """A file with one to four kinds of damage: its kind and its bytes."""
    dice = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    data = bytearray(dice.choice(files[kind]))
    damages = [flip_bits, set_bytes, truncate, set_length, swap_chunks, repeat_chunk, cut_out, splice, set_dimensions]
    for damage in dice.choices(damages, k=dice.choice((1, 1, 1, 2, 4))):
        damage(data, dice, kind, files)
    if kind == "PNG" and dice.random() < 0.7:
        data = with_true_checksums(data)
    return kind, bytes(data)


def flip_bits(data: bytearray, dice: random.Random, *_: Any) -> None:
    for _number in range(dice.choice((1, 1, 2, 8, 64)) if data else 0):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def set_bytes(data: bytearray, dice: random.Random, *_: Any) -> None:
    start = dice.randrange(len(data) + 1)
    data[start : start + dice.choice((1, 2, 4, 16))] = dice.randbytes(dice.choice((1, 2, 4, 16)))


def truncate(data: bytearray, dice: random.Random, *_: Any) -> None:
    del data[dice.randrange(len(data) + 1) :]


def set_length(data: bytearray, dice: random.Random, *_: Any) -> None:
    """Write a number of two, three or four bytes, mostly into the header, where lengths are."""
    width = dice.choice((2, 3, 4))
    start = dice.randrange(max(1, min(len(data), dice.choice((64, 2000))) - width))
    data[start : start + width] = number(dice, width)


def number(dice: random.Random, width: int) -> bytes:
    value = dice.choice(SIZES) % 256**width
    return value.to_bytes(width, dice.choice(("little", "big")))


def swap_chunks(data: bytearray, dice: random.Random, *_: Any) -> None:
    first, second, third = sorted(dice.choices(range(len(data) + 1), k=3))
    data[first:third] = data[second:third] + data[first:second]


def repeat_chunk(data: bytearray, dice: random.Random, *_: Any) -> None:
    start, end = sorted(dice.choices(range(len(data) + 1), k=2))
    data[start:start] = data[start:end] * dice.choice((1, 1, 5))


def cut_out(data: bytearray, dice: random.Random, *_: Any) -> None:
    start, end = sorted(dice.choices(range(len(data) + 1), k=2))
    del data[start : start + min(end - start, dice.choice((1, 4, 200)))]


def splice(data: bytearray, dice: random.Random, kind: str, files: dict[str, list[bytes]]) -> None:
    """Continue the file with the rest of another one, of any kind."""
    other = dice.choice(files[dice.choice(KINDS)])
    data[dice.randrange(len(data) + 1) :] = other[dice.randrange(len(other)) :]


def set_dimensions(data: bytearray, dice: random.Random, kind: str, *_: Any) -> None:
    """Change the width and height in the header."""
    starts = {"PNG": (16,), "GIF": (6,), "BMP": (18,), "JPEG": (data.find(b"\xff\xc0") + 5,), "WEBP": (24, 26)}[kind]
    width, order = {"PNG": (4, "big"), "JPEG": (2, "big"), "BMP": (4, "little")}.get(kind, (2, "little"))
    for place in range(2):
        if dice.random() < 0.7:
            start = dice.choice(starts) + place * width
            data[start : start + width] = (dice.choice(SIZES) % 256**width).to_bytes(width, order)  # type: ignore[arg-type]


def with_true_checksums(data: bytearray) -> bytearray:
    """Correct the checksums of a damaged PNG, so that its decoder does not refuse it at once."""
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return data


def outcomes(first: int, count: int) -> Iterator[tuple[int, str, str, float]]:
    """For each seed: the seed, the kind, the outcome ("image", "refused", or what is wrong), and the seconds."""
    from uhd_edge.runtime.errors import ImageError
    from uhd_edge.runtime.images.loading import load_image

    files = originals()
    for seed in range(first, first + count):
        kind, data = mutated(seed, files)
        start = time.process_time()
        try:
            image = load_image(data)
            width, height = image.size
            right = image.mode == "RGB" and width * height > 0 and np.asarray(image).shape == (height, width, 3)
            result = "image" if right else f"{image.mode} {image.size}"
        except ImageError as error:
            result = "refused" if str(error).isprintable() else f"not one line: {error!r}"
        except BaseException as error:  # such errors are what the test looks for
            result = f"{type(error).__name__}: {error}"
        yield seed, kind, result, time.process_time() - start


def main() -> None:
    first, count = map(int, sys.argv[1:])
    warnings.simplefilter("always")
    counts: dict[str, collections.Counter[str]] = {kind: collections.Counter() for kind in KINDS}
    wrong, slowest = [], (0.0, -1)
    for seed, kind, result, seconds in outcomes(first, count):
        slowest = max(slowest, (seconds, seed))
        if result in ("image", "refused"):
            counts[kind][result] += 1
        else:
            wrong.append([seed, kind, result])
    megabytes = peak_memory() / 1e6
    print(json.dumps({"counts": counts, "wrong": wrong, "slowest": slowest, "megabytes": megabytes}))


if __name__ == "__main__":
    main()
