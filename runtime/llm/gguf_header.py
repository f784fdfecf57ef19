"""What must be known of a GGUF file before llama.cpp reads it, or in another way than it is read there."""

from __future__ import annotations

import mmap
from struct import Struct, unpack_from
from struct import error as TooShort  # noqa: N812  # that is all it says here
from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GGUF_MAGIC = b"GGUF"
QWEN3_5 = "qwen35"  # an architecture, in llama.cpp's words
TOKENS = b"tokenizer.ggml.tokens"
SECTIONS = "rope.dimension_sections"  # behind the name of the architecture
TIME_SLOT = "rope.mrope_time_slot"  # the same
RECURRENT = b".ssm_"  # in the names of the tensors that recurrent layers have

# gguf_type of llama.cpp: sizes of numbers and booleans, and the two types that hold others.
NUMBER_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9
INT32 = 5

HEADER = Struct("<4sIQQ")  # magic, version, number of tensors, number of keys
_LENGTH = Struct("<Q")
TYPE = Struct("<I")
ARRAY_HEAD = Struct("<IQ")  # type of the elements, their number


def check_file(path: Path, *, vocabulary_is_sound: bool = False) -> None:
    """Raise `ModelError` for a file that is no GGUF, or whose vocabulary would make llama.cpp abort.

    Reading the vocabulary takes a third of a second with Qwen3.5's 248k tokens;
    `vocabulary_is_sound` spares it where that is known.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(len(GGUF_MAGIC))
        repeated = repeated_token(path) if start == GGUF_MAGIC and not vocabulary_is_sound else None
    except OSError as error:
        raise ModelError(f"{path}: the language model cannot be read ({error.strerror})") from error
    if start != GGUF_MAGIC:
        raise ModelError(f"{path}: not a GGUF file (it starts with {start!r}); export the bundle again")
    if repeated is not None:
        raise ModelError(f"{path}: damaged, its vocabulary has the token {repeated!r} twice; export the bundle again")


def repeated_token(path: Path) -> str | None:
    """Return a token that the vocabulary of a GGUF file has twice; llama.cpp aborts on such a file.

    None when there is none, and for a file that breaks off or is no GGUF: llama.cpp says
    what is wrong with those. Raises `OSError` when the file cannot be read.
    """
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            # llama.cpp reads each as a C string, which ends at a NUL.
            tokens = [token.partition(b"\0")[0] for token in _tokens(data)]
        except (TooShort, KeyError, OverflowError):
            return None
    if len(set(tokens)) == len(tokens):
        return None
    seen: set[bytes] = set()
    repeated = next(token for token in tokens if token in seen or seen.add(token))  # type: ignore[func-returns-value]
    return repeated.decode("utf-8", errors="replace")


def find_sections(path: Path) -> tuple[int, tuple[int, ...]] | None:
    """Return where a file has the sections of its M-RoPE, int32 one after the other, and what they are.

    None when it has none, breaks off or is no GGUF. Raises `OSError` when it cannot be read.
    """
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            at = _find_array(data, f".{SECTIONS}".encode(), INT32)
            if at is None:
                return None
            _, count = ARRAY_HEAD.unpack_from(data, at)
            return at + ARRAY_HEAD.size, unpack_from(f"<{min(count, 8)}i", data, at + ARRAY_HEAD.size)
        except (TooShort, KeyError, OverflowError):
            return None


def find_time_slot(path: Path) -> int | None:
    """Return where a file has the name of the key that says which number of a position is the time, and ends in it.

    llama.cpp 0.3.36 does not know this key. None when there is none. Raises `OSError` when it cannot be read.
    """
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            places = (at for key, _, at in _entries(data) if key.endswith(f".{TIME_SLOT}".encode()))
            after = next(places, None)
        except (TooShort, KeyError, OverflowError):
            return None
    return None if after is None else after - TYPE.size - len(TIME_SLOT)


def refuse_without_recurrent_layers(path: Path, architecture: str, *, name: str, remedy: str) -> None:
    """Raise `ModelError` for a Qwen3.5 of attention alone, with which llama.cpp 0.3.36 ends the program.

    Messages call the file `name` and end in the `remedy`. Raises `OSError` when it cannot be read.
    """
    if architecture != QWEN3_5:
        return
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data.find(RECURRENT) >= 0:  # the header of the tensors stands before their values, so this is quick
            return
    raise ModelError(
        f"{name}: a Qwen3.5 with attention in every layer, with which llama.cpp ends the program; {remedy}"
    )


def after_value(data: mmap.mmap, at: int, kind: int) -> int:
    """Return where the value of type `kind` that begins at `at` ends."""
    if kind == STRING:
        return read_strings(data, at, 1)[1]
    if kind != ARRAY:
        return at + NUMBER_SIZES[kind]
    element, count = ARRAY_HEAD.unpack_from(data, at)
    at += ARRAY_HEAD.size
    return read_strings(data, at, count)[1] if element == STRING else at + count * NUMBER_SIZES[element]


def read_strings(data: mmap.mmap, at: int, count: int) -> tuple[list[bytes], int]:
    """Read `count` strings from `at` on; returns them and where they end."""
    strings = []
    length_at, size = _LENGTH.unpack_from, _LENGTH.size
    for _ in range(count):
        (length,) = length_at(data, at)
        at += size
        strings.append(data[at : at + length])
        at += length
    return strings, at


def _tokens(data: mmap.mmap) -> list[bytes]:
    at = _find_array(data, TOKENS, STRING)
    if at is None:
        return []
    _, count = ARRAY_HEAD.unpack_from(data, at)
    return read_strings(data, at + ARRAY_HEAD.size, count)[0]


def _find_array(data: mmap.mmap, key_end: bytes, element: int) -> int | None:
    """Find the array of `element`s under the first key that ends so; it begins with their type and number."""
    for key, kind, at in _entries(data):
        if key.endswith(key_end) and kind == ARRAY and TYPE.unpack_from(data, at)[0] == element:
            return at
    return None


def _entries(data: mmap.mmap) -> Iterator[tuple[bytes, int, int]]:
    """Yield each key of the header, the type of its value, and where the value begins."""
    _, _, _, keys = HEADER.unpack_from(data)
    at = HEADER.size
    for _ in range(keys):
        (key,), at = read_strings(data, at, 1)
        (kind,) = TYPE.unpack_from(data, at)
        at += TYPE.size
        yield key, kind, at
        at = after_value(data, at, kind)
