"""What a GGUF's header says of the memory that its language model will take; the weights are not read."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from struct import Struct, unpack_from
from struct import error as TooShort  # noqa: N812  # that is all it says here
from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import ModelError
from uhd_edge.runtime.llm.gguf_header import ARRAY, ARRAY_HEAD, GGUF_MAGIC, HEADER, TYPE, after_value, read_strings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Numbers = Mapping[str, tuple[int, ...]]

# gguf_type -> struct's letter, of whole numbers.
_WHOLE_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 10: "Q", 11: "q"}
_MOST_NUMBERS = 1024  # a list with one for each layer is read, the types of all tokens are not

_DIMENSIONS = Struct("<I")
_PLACE = Struct("<IQ")  # type of a tensor, where it begins

EMBEDDINGS = b"token_embd.weight"


@dataclass(frozen=True)
class GgufSizes:
    """A language model in numbers.

    Of its layers, `attention_layers` keep keys and values of every token, `cache_numbers` numbers in all
    of them together; `recurrent_numbers` are kept of a whole conversation. `bytes_by_type` has the bytes
    of the matrices by ggml's type of their numbers, without the embeddings of tokens.
    """

    file_bytes: int
    width: int
    layers: int
    attention_layers: int
    cache_numbers: int
    recurrent_numbers: int
    trained_context: int
    bytes_by_type: Mapping[int, int]


def read_gguf_sizes(path: Path) -> GgufSizes:
    """Read the sizes of a language model; raises `ModelError` for a file that cannot be read or is no GGUF of one."""
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _, _, tensors, keys = HEADER.unpack_from(data)
            numbers, at = _read_numbers(data, keys if data[: len(GGUF_MAGIC)] == GGUF_MAGIC else 0)
            return _sizes(numbers, _bytes_by_type(data, at, tensors), len(data))
    except OSError as error:
        raise ModelError(f"{path}: the language model cannot be read ({error.strerror})") from error
    except (TooShort, ValueError, KeyError, IndexError, OverflowError, ZeroDivisionError) as error:
        raise ModelError(f"{path}: not a GGUF file of a language model; export the bundle again") from error


def _sizes(numbers: Numbers, bytes_by_type: Mapping[int, int], file_bytes: int) -> GgufSizes:
    def one(name: str, default: int | None = None) -> int:
        return numbers[name][0] if default is None else numbers.get(name, (default,))[0]

    layers, width = one("block_count"), one("embedding_length")
    interval = one("full_attention_interval", 1)
    attention = [layer for layer in range(layers) if (layer + 1) % interval == 0]
    heads = numbers["attention.head_count"]
    key = one("attention.key_length", width // heads[0])
    value = one("attention.value_length", key)
    kv_heads = numbers.get("attention.head_count_kv", heads)
    cache = sum(kv_heads[min(layer, len(kv_heads) - 1)] * (key + value) for layer in attention)
    recurrent = (layers - len(attention)) * _recurrent_numbers(one)
    return GgufSizes(
        file_bytes, width, layers, len(attention), cache, recurrent, one("context_length", 0), bytes_by_type
    )


def _recurrent_numbers(one: Callable[..., int]) -> int:
    """Numbers that one recurrent layer keeps: the last inputs of its convolution, and its state (llama.cpp's sizes)."""
    inner, state = one("ssm.inner_size", 0), one("ssm.state_size", 0)
    channels = inner + 2 * one("ssm.group_count", 0) * state
    return (one("ssm.conv_kernel", 1) - 1) * channels + inner * state


def _read_numbers(data: mmap.mmap, keys: int) -> tuple[dict[str, tuple[int, ...]], int]:
    """Read the whole numbers by key, without the architecture's name before it, and where the header's keys end."""
    numbers: dict[str, tuple[int, ...]] = {}
    at = HEADER.size
    for _ in range(keys):
        (key,), at = read_strings(data, at, 1)
        (kind,) = TYPE.unpack_from(data, at)
        begin = at + TYPE.size
        at = after_value(data, begin, kind)
        count = 1
        if kind == ARRAY:
            kind, count = ARRAY_HEAD.unpack_from(data, begin)
            begin += ARRAY_HEAD.size
        if kind in _WHOLE_NUMBERS and count <= _MOST_NUMBERS:
            name = key.decode("utf-8", errors="replace").partition(".")[2]
            numbers[name] = unpack_from(f"<{count}{_WHOLE_NUMBERS[kind]}", data, begin)
    return numbers, at


def _bytes_by_type(data: mmap.mmap, at: int, tensors: int) -> dict[int, int]:
    """Add up the bytes of the matrices by type; a tensor ends where the next one begins, the last with the file."""
    found = sorted(_tensors(data, at, tensors))
    headers = len(data) - at  # the last tensor then counts the header of the tensors too, some kilobytes
    ends = [*(begin for begin, *_ in found[1:]), headers]
    sizes: dict[int, int] = {}
    for (begin, kind, dimensions, name), end in zip(found, ends, strict=True):
        if dimensions > 1 and name != EMBEDDINGS:
            sizes[kind] = sizes.get(kind, 0) + max(0, end - begin)
    return sizes


def _tensors(data: mmap.mmap, at: int, count: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield where each tensor begins, its type, the number of its dimensions, and its name."""
    for _ in range(count):
        (name,), at = read_strings(data, at, 1)
        (dimensions,) = _DIMENSIONS.unpack_from(data, at)
        at += _DIMENSIONS.size + 8 * dimensions
        kind, begin = _PLACE.unpack_from(data, at)
        at += _PLACE.size
        yield begin, kind, dimensions, name
