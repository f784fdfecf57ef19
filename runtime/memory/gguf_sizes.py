"""What a GGUF's header says of the memory that its language model will take; the weights are not read."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from itertools import zip_longest
from struct import Struct, unpack_from
from struct import error as TooShort  # noqa: N812  # that is all it says here
from typing import TYPE_CHECKING, NamedTuple

from uhd_edge.runtime.errors import ModelError
from uhd_edge.runtime.llm.gguf_header import (
    ARRAY,
    ARRAY_HEAD,
    GGUF_MAGIC,
    HEADER,
    RECURRENT,
    TYPE,
    after_value,
    read_strings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
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
    of the matrices by ggml's type of their numbers, without the embeddings of tokens. Layers that
    guess tokens ahead (`nextn_predict_layers`) do not count: llama.cpp leaves them on the disk. A file
    that `only_guesses` has no others.
    """

    file_bytes: int
    width: int
    layers: int
    attention_layers: int
    cache_numbers: int
    recurrent_numbers: int
    trained_context: int
    bytes_by_type: Mapping[int, int]
    only_guesses: bool


def read_gguf_sizes(path: Path) -> GgufSizes:
    """Read the sizes of a language model; raises `ModelError` for a file that cannot be read or is no GGUF of one."""
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _, _, tensors, keys = HEADER.unpack_from(data)
            numbers, at = _read_numbers(data, keys if data[: len(GGUF_MAGIC)] == GGUF_MAGIC else 0)
            return _sizes(numbers, sorted(_tensors(data, at, tensors)), len(data) - at, len(data))
    except OSError as error:
        raise ModelError(f"{path}: the language model cannot be read ({error.strerror})") from error
    except (TooShort, ValueError, KeyError, IndexError, OverflowError, ZeroDivisionError) as error:
        raise ModelError(f"{path}: not a GGUF file of a language model; export the bundle again") from error


def _sizes(numbers: Numbers, tensors: Sequence[Tensor], behind_keys: int, file_bytes: int) -> GgufSizes:
    def one(name: str, default: int | None = None) -> int:
        return numbers[name][0] if default is None else numbers.get(name, (default,))[0]

    guessing, width = one("nextn_predict_layers", 0), one("embedding_length")
    layers = one("block_count") - guessing
    recurrent_layers = {tensor.layer for tensor in tensors if RECURRENT in tensor.name}
    attention = [layer for layer in range(layers) if layer not in recurrent_layers]
    heads = numbers["attention.head_count"]
    key = one("attention.key_length", width // heads[0])
    value = one("attention.value_length", key)
    kv_heads = numbers.get("attention.head_count_kv", heads)
    cache = sum(kv_heads[min(layer, len(kv_heads) - 1)] * (key + value) for layer in attention)
    recurrent = (layers - len(attention)) * _recurrent_numbers(one)
    return GgufSizes(
        file_bytes,
        width,
        layers,
        len(attention),
        cache,
        recurrent,
        one("context_length", 0),
        _bytes_by_type(tensors, behind_keys, layers),
        only_guesses=guessing > 0 and not any(tensor.layer == 0 for tensor in tensors),
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


def _bytes_by_type(tensors: Sequence[Tensor], end: int, layers: int) -> dict[int, int]:
    """Add up the bytes of the matrices of so many layers by type; a tensor ends where the next one begins.

    The last ends with the file. It then counts the header of the tensors too, some kilobytes.
    """
    sizes: dict[int, int] = {}
    for tensor, following in zip_longest(tensors, tensors[1:]):
        if tensor.dimensions > 1 and tensor.name != EMBEDDINGS and tensor.layer < layers:
            size = (following.begin if following else end) - tensor.begin
            sizes[tensor.kind] = sizes.get(tensor.kind, 0) + max(0, size)
    return sizes


class Tensor(NamedTuple):
    """Where a tensor begins behind the header, its type, the number of its dimensions, and its name."""

    begin: int
    kind: int
    dimensions: int
    name: bytes

    @property
    def layer(self) -> int:
        """The number of its layer; -1 for one of none."""
        number = self.name.removeprefix(b"blk.").partition(b".")[0]
        return int(number) if self.name.startswith(b"blk.") and number.isdigit() else -1


def _tensors(data: mmap.mmap, at: int, count: int) -> Iterator[Tensor]:
    for _ in range(count):
        (name,), at = read_strings(data, at, 1)
        (dimensions,) = _DIMENSIONS.unpack_from(data, at)
        at += _DIMENSIONS.size + 8 * dimensions
        kind, begin = _PLACE.unpack_from(data, at)
        at += _PLACE.size
        yield Tensor(begin, kind, dimensions, name)
