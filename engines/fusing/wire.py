"""Read and write protobuf's wire format, of which ONNX files are made, without the onnx package."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LENGTHS = {_FIXED64: 8, _FIXED32: 4}


class Field(NamedTuple):
    """One field of a message: its number, its content (an integer for numeric fields), and all of its bytes."""

    number: int
    content: memoryview | int
    whole: memoryview


def fields(message: memoryview) -> Iterator[Field]:
    """Yield the fields of `message` in order. Raises `ValueError` or `IndexError` where it is no message."""
    position = 0
    while position < len(message):
        start = position
        tag, position = varint(message, position)
        content: memoryview | int
        kind = tag & 7
        if kind == _VARINT:
            content, position = varint(message, position)
        elif kind in _LENGTHS:
            end = position + _LENGTHS[kind]
            content, position = int.from_bytes(message[position:end], "little"), end
        elif kind == _BYTES:
            length, position = varint(message, position)
            content, position = message[position : position + length], position + length
        else:
            raise ValueError(f"wire type {kind}")
        yield Field(tag >> 3, content, message[start:position])
    if position != len(message):
        raise ValueError("a field is longer than its message")


def messages(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """Yield the content of each field `wanted` that has bytes: messages, texts, packed numbers."""
    for number, content, _ in fields(message):
        if number == wanted and isinstance(content, memoryview):
            yield content


def grouped(message: memoryview) -> dict[int, list[memoryview]]:
    """Return the contents of all fields that have bytes, by number, each number's in order."""
    found: dict[int, list[memoryview]] = {}
    for number, content, _ in fields(message):
        if isinstance(content, memoryview):
            found.setdefault(number, []).append(content)
    return found


def varint(message: memoryview, position: int) -> tuple[int, int]:
    """Read an integer at `position`; returns it and the position behind it."""
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def bytes_field(number: int, content: bytes) -> bytes:
    """Write a field that has bytes."""
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def integer_field(number: int, value: int) -> bytes:
    """Write a field with an integer from 0 on."""
    return _varint(number << 3 | _VARINT) + _varint(value)


def float_field(number: int, value: float) -> bytes:
    """Write a field with a float32."""
    return _varint(number << 3 | _FIXED32) + struct.pack("<f", value)


def _varint(value: int) -> bytes:
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
