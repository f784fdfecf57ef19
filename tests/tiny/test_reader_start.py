"""A fresh language model finds what is equal, and its symbolic tokens are made of the words of questions."""

from __future__ import annotations

import pytest
import torch

from uhd_edge.tiny.training.reading import Reader
from uhd_edge.tiny.world.conversations import IGNORED, pack
from uhd_edge.tiny.world.labels import POSITIONS
from uhd_edge.tiny.world.questions import Question
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
def test_a_fresh_layer_compares_a_word_with_itself_above_all(reader: Reader, layer: int) -> None:
    attention = reader.text.layers[layer].self_attn
    vectors = words(reader, COLOUR_NAMES)
    keys = attention.k_proj(vectors).unflatten(-1, (2, -1))
    queries = attention.q_proj(vectors).unflatten(-1, (4, -1))
    for head in range(4):
        assert nearest(queries[:, head], keys[:, head // 2]) == list(range(len(COLOUR_NAMES)))


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


@pytest.mark.parametrize(
    ("kind", "text", "answer", "told"),
    [
        ("code", "What is the code on the red star?", "K7Q2X", {" star": "K", "?": "7", "<|im_end|>": "Q", "\n": "2"}),
        ("code", "What is the code on the red star?", "there is none", {" star": "there", "?": " is"}),
        ("presence", "Is there a red star?", "no", {" star": "no", "?": "no"}),
        ("extreme", "Which object is the lowest?", "the red star", {" lowest": " red", "?": " star"}),
        ("count shapes", "How many stars are there?", "2", {" stars": "2", " are": "2"}),
        ("count colours", "How many red objects are there?", "0", {" red": "0", " objects": "0"}),
    ],
)
def test_a_spelled_question_foretells_its_answer_from_the_subject_on(
    kind: str, text: str, answer: str, told: dict[str, str]
) -> None:
    question = Question(kind, text, answer)
    plain, spelled = (pack(TOKENIZER, [[]], [[question]], multiple=1, spell=spell) for spell in (False, True))
    added = (plain.labels != spelled.labels)[0].nonzero()[:, 0].tolist()
    assert (plain.labels[0, added] == IGNORED).all()
    pairs = {TOKENIZER.decode([spelled.ids[0, at]]): TOKENIZER.decode([spelled.labels[0, at]]) for at in added}
    assert told.items() <= pairs.items()
    assert (spelled.kinds == plain.kinds).all()  # what is scored is the answer alone


def test_all_five_characters_are_foretold_before_the_answer() -> None:
    question = Question("code", "What is the code on the red star?", "K7Q2X")
    packed = pack(TOKENIZER, [[]], [[question]], multiple=1, spell=True)
    labels = [TOKENIZER.decode([label]) for label in packed.labels[0].tolist() if label >= 0]
    assert labels == [*"K7Q2X", *"K7Q2X", "<|im_end|>"]
