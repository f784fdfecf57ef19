"""A fresh language model finds what is equal, and its symbolic tokens are made of the words of questions."""

from __future__ import annotations

import pytest
import torch
from transformers.models.qwen3.modeling_qwen3 import apply_rotary_pos_emb

from uhd_edge.tiny.training.reading import Reader
from uhd_edge.tiny.world.labels import POSITIONS
from uhd_edge.tiny.world.scenes import ALPHABET, COLOUR_NAMES, SHAPES
from uhd_edge.tiny.world.tokenizer import train_tokenizer

TOKENIZER = train_tokenizer()


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(3, TOKENIZER).eval()


def words(reader: Reader, names: tuple[str, ...]) -> torch.Tensor:
    chosen: torch.Tensor = reader.text.embed_tokens.weight[[TOKENIZER.encode(f"a {name}")[-1] for name in names]]
    return chosen


def nearest(vectors: torch.Tensor, table: torch.Tensor) -> list[int]:
    unit = torch.nn.functional.normalize
    chosen: list[int] = (unit(vectors, dim=-1) @ unit(table, dim=-1).T).argmax(-1).tolist()
    return chosen


@torch.no_grad()
def test_a_symbol_of_a_colour_or_shape_is_like_its_word(reader: Reader) -> None:
    colours, shapes = words(reader, COLOUR_NAMES), words(reader, SHAPES)
    symbols = reader.symbols
    assert nearest(symbols.colour[1:], colours) == list(range(len(COLOUR_NAMES)))
    assert nearest(symbols.shape[1:], shapes) == list(range(len(SHAPES)))
    for colour in range(len(COLOUR_NAMES)):
        owners = symbols.owner[1 + colour, 1:]
        assert nearest(owners, colours) == [colour] * len(SHAPES)
        assert nearest(owners, shapes) == list(range(len(SHAPES)))


@torch.no_grad()
@pytest.mark.parametrize("layer", range(4))
def test_half_of_a_fresh_layers_heads_compare_a_word_with_itself_above_all(reader: Reader, layer: int) -> None:
    attention = reader.text.layers[layer].self_attn
    vectors = words(reader, COLOUR_NAMES)
    keys = attention.k_proj(vectors).unflatten(-1, (2, -1))
    queries = attention.q_proj(vectors).unflatten(-1, (4, -1))
    equal = list(range(len(COLOUR_NAMES)))
    assert all(nearest(queries[:, head], keys[:, 0]) == equal for head in (0, 1))  # those of the first key
    assert all(nearest(queries[:, head], keys[:, key]) != equal for head in (2, 3) for key in (0, 1))


@torch.no_grad()
@pytest.mark.parametrize("distance", [1, 50, 200])
def test_what_is_equal_stands_out_at_any_distance(reader: Reader, distance: int) -> None:
    attention = reader.text.layers[0].self_attn
    vectors = words(reader, COLOUR_NAMES)
    keys = attention.k_norm(attention.k_proj(vectors).unflatten(-1, (2, -1))).repeat_interleave(2, dim=1)
    queries = attention.q_norm(attention.q_proj(vectors).unflatten(-1, (4, -1)))
    places = torch.full((1, len(COLOUR_NAMES)), distance)
    turned, _ = apply_rotary_pos_emb(
        queries.transpose(0, 1)[None], keys.transpose(0, 1)[None], *reader.text.rotary_emb(vectors, places)
    )
    scores = turned[0, :2] @ keys.permute(1, 2, 0)[:2] * attention.scaling  # [heads, colours, colours]
    same = scores.diagonal(dim1=1, dim2=2)
    others = scores[:, ~torch.eye(len(COLOUR_NAMES), dtype=torch.bool)]
    assert (same.min() > others.max() + 1).all()
    assert same.mean() > others.mean() + 5


@torch.no_grad()
def test_a_character_without_its_position_and_a_plural_are_like_their_words(reader: Reader) -> None:
    spelled = reader.text.embed_tokens.weight[[TOKENIZER.encode(character)[0] for character in ALPHABET]]
    assert nearest(reader.symbols.letters[1:], spelled) == list(range(len(ALPHABET)))
    plurals = words(reader, tuple(f"{shape}s" for shape in SHAPES))
    assert nearest(plurals, words(reader, SHAPES)) == list(range(len(SHAPES)))
    assert not torch.equal(plurals, words(reader, SHAPES))


@torch.no_grad()
def test_for_each_position_of_a_code_some_layer_copies_the_character_there(reader: Reader) -> None:
    alphabet = reader.symbols.alphabet[1:]
    spelled = reader.text.embed_tokens.weight[[TOKENIZER.encode(character)[0] for character in ALPHABET]]
    found = set()
    for position in range(POSITIONS):
        bound = alphabet * reader.symbols.position[position]
        for layer in list(reader.text.layers)[1:]:
            values = layer.self_attn.v_proj(bound).unflatten(-1, (2, -1)).repeat_interleave(2, dim=1)
            for head in range(4):
                alone = torch.zeros_like(values)
                alone[:, head] = values[:, head]
                right = nearest(layer.self_attn.o_proj(alone.flatten(1)), spelled)
                if sum(index == got for index, got in enumerate(right)) > 0.9 * len(ALPHABET):
                    found.add(position)
    assert found == set(range(POSITIONS))
