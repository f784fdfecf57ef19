"""Initialises the language model and its symbolic tokens so that it can find in the image what a question names.

A freshly drawn reader is at chance for thousands of steps: nothing in it says that the word red
and a red object's token have to do with each other. Here what belongs together begins alike:

- The symbolic tokens of a colour, a shape and a character are the embeddings of their words, and the
  plural of a shape is nearly its singular.
- In half of the heads, queries and keys are the same projection, so that attention begins with what is equal.
  Most of it is in the pairs of channels that positions turn slowly, so that it hardly matters how far away the
  equal is: a picture in slices has 200 tokens in 16x. Queries and keys of the other heads are left as they are
  drawn, to find places.
- In the first layer, values come out as they went in. After it, the values of each key but the last unbind a
  position of a code: they turn a token's character at that position into the character's own embedding.

All of it is trained from there on.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from transformers import Qwen3Model
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention

from uhd_edge.tiny.world.conversations import Encodes
from uhd_edge.tiny.world.labels import POSITIONS
from uhd_edge.tiny.world.scenes import ALPHABET, COLOUR_NAMES, SHAPES
from uhd_edge.tiny.world.symbols import Symbols

DRAWN = 0.1  # the share of freshly drawn weights that is left in queries and keys
FAST, SLOW = 0.2, 1.35  # weights of the channels that positions turn fast, and of the others; their ratio counts
OWN = 0.3  # the share of its own vector that a token keeps which is made of others
LETTERS = 0.5  # the size of a character's vector without its position, relative to that with it


@torch.no_grad()
def start_words(symbols: Symbols, words: Tensor, tokenizer: Encodes) -> None:
    """Make the symbols of colours, shapes and characters those of their words.

    `words` [vocabulary, width] is the table of embeddings. Its plurals of shapes are changed too.
    """
    colours = words[[tokenizer.encode(f"a {name}")[-1] for name in COLOUR_NAMES]]
    shapes = words[[tokenizer.encode(f"a {name}")[-1] for name in SHAPES]]
    plurals = [tokenizer.encode(f"many {name}s")[-1] for name in SHAPES]
    words[plurals] = OWN * words[plurals] + shapes
    symbols.colour[1:] = colours
    symbols.shape[1:] = shapes
    symbols.owner[1:, 1:] = OWN * symbols.owner[1:, 1:] + colours[:, None] + shapes[None, :]
    symbols.alphabet[1:] = words[[tokenizer.encode(character)[0] for character in ALPHABET]]
    symbols.letters[1:] = LETTERS * symbols.alphabet[1:]


@torch.no_grad()
def start_attention(text: Qwen3Model, position: Tensor) -> None:
    """Let the heads of each layer's first key look for what is equal, and all of them copy.

    In the layers after the first they unbind `position` [5, width], the signs of a code's characters, as they copy.
    """
    reach = text.config.initializer_range * text.config.hidden_size**0.5  # the length of a drawn row
    unbound = list(range(POSITIONS))
    for number, layer in enumerate(text.layers):
        attention = cast("Qwen3Attention", layer.self_attn)
        _compare(attention, _rows(attention, reach))
        for key in range(attention.k_proj.out_features // attention.head_dim):
            signs = position[unbound.pop(0)] if number and unbound else None
            _copy(attention, key, _rows(attention, reach), signs)
    if unbound:
        raise ValueError(f"The language model has no layer for positions {unbound} of a code.")


def _rows(attention: Qwen3Attention, reach: float) -> Tensor:
    """Orthogonal rows of the length `reach`, as many as a head has channels: [head, width]."""
    rows: Tensor = torch.linalg.qr(torch.randn(attention.k_proj.in_features, attention.head_dim))[0].T
    return reach * rows


def _compare(attention: Qwen3Attention, rows: Tensor) -> None:
    """Let the first key and the queries that share it be projected alike, most of all in the slow channels."""
    compared = rows * torch.where(_turned_fast(len(rows)), FAST, SLOW)[:, None]
    _blend(attention.k_proj.weight[: len(rows)], compared)
    for query in attention.q_proj.weight.split(len(rows))[: attention.num_key_value_groups]:
        _blend(query, compared)


def _copy(attention: Qwen3Attention, key: int, rows: Tensor, signs: Tensor | None) -> None:
    """Let the value of a key be copied by the heads that share it, without its `signs` [width] if there are any."""
    heads = attention.num_key_value_groups
    attention.v_proj.weight.split(len(rows))[key].copy_(rows if signs is None else rows * signs)
    for output in attention.o_proj.weight.split(len(rows), dim=1)[key * heads : (key + 1) * heads]:
        output.copy_(rows.T)


def _turned_fast(size: int) -> Tensor:
    """Which of a head's channels belong to the faster half of its rotations: pairs are half a head apart."""
    return torch.arange(size) % (size // 2) < size // 4


def _blend(weight: Tensor, wanted: Tensor) -> None:
    weight.mul_(DRAWN).add_(wanted, alpha=1 - DRAWN)
