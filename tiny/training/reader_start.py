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
from transformers import Qwen3Config, Qwen3Model
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
    config = text.config
    unbound = list(range(POSITIONS))
    for number, layer in enumerate(text.layers):
        attention = cast("Qwen3Attention", layer.self_attn)
        for group in range(attention.k_proj.out_features // config.head_dim):
            signs = position[unbound.pop(0)] if number and unbound else None
            _start_group(attention, config, group, signs)
    if unbound:
        raise ValueError(f"The language model has no layer for positions {unbound} of a code.")


def _start_group(attention: Qwen3Attention, config: Qwen3Config, group: int, signs: Tensor | None) -> None:
    """Initialise the heads that share a key: one projection to copy, and for the first group one to compare."""
    width, size = config.hidden_size, config.head_dim
    reach = config.initializer_range * width**0.5  # the length of a drawn row
    compared, copied = (reach * torch.linalg.qr(torch.randn(width, size))[0].T for _ in range(2))
    compared *= torch.where(_turned_fast(size), FAST, SLOW)[:, None]
    shared = slice(group * size, (group + 1) * size)
    if group == 0:
        _blend(attention.k_proj.weight[shared], compared)
    attention.v_proj.weight[shared] = copied if signs is None else copied * signs
    heads = attention.num_key_value_groups
    for head in range(group * heads, (group + 1) * heads):
        rows = slice(head * size, (head + 1) * size)
        if group == 0:
            _blend(attention.q_proj.weight[rows], compared)
        attention.o_proj.weight[:, rows] = copied.T


def _turned_fast(size: int) -> Tensor:
    """Which of a head's channels belong to the faster half of its rotations: pairs are half a head apart."""
    return torch.arange(size) % (size // 2) < size // 4


def _blend(weight: Tensor, wanted: Tensor) -> None:
    weight.mul_(DRAWN).add_(wanted, alpha=1 - DRAWN)
