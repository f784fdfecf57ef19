"""Answers follow from the scene alone; words and code characters are single tokens."""

from __future__ import annotations

import re

import pytest

from uhd_edge.tiny.world.conversations import IGNORED, pack
from uhd_edge.tiny.world.questions import KINDS, NO_CODE, Question, ask
from uhd_edge.tiny.world.scenes import ALPHABET, COLOUR_NAMES, SHAPES, SINGLE, SLICED, Scene, draw_scene
from uhd_edge.tiny.world.tokenizer import RememberingEncoder, train_tokenizer

SCENES = [draw_scene(f"questions/{index}", SLICED) for index in range(40)]


def test_codes_are_asked_and_answered_by_the_scene() -> None:
    absent = 0
    for index, scene in enumerate(SCENES):
        question = ask(scene, "code", str(index))
        colour, shape = question.text.removesuffix("?").split()[-2:]
        codes = [drawn.code for drawn in scene.objects if (drawn.colour, drawn.shape) == (colour, shape)]
        assert question.answer == (codes[0] if codes else "there is none")
        absent += not codes
        labelled = ask(scene, "labelled", str(index))
        code = labelled.text.removesuffix("?").split()[-1]
        (drawn,) = [drawn for drawn in scene.objects if drawn.code == code]
        assert labelled.answer == f"a {drawn.colour} {drawn.shape}"
    assert 1 <= absent <= len(SCENES) / 3  # some, and far from most


def test_counts_and_presence_follow_from_the_scene() -> None:
    counts: dict[str, set[str]] = {"shapes": set(), "colours": set()}
    for index, scene in enumerate(SCENES):
        shapes = ask(scene, "count shapes", str(index))
        shape = shapes.text.split()[2].removesuffix("s")
        assert shapes.answer == str(sum(drawn.shape == shape for drawn in scene.objects))
        colours = ask(scene, "count colours", str(index))
        colour = colours.text.split()[2]
        assert colours.answer == str(sum(drawn.colour == colour for drawn in scene.objects))
        counts["shapes"].add(shapes.answer)
        counts["colours"].add(colours.answer)
        presence = ask(scene, "presence", str(index))
        pair = tuple(presence.text.removesuffix("?").split()[-2:])
        assert (presence.answer == "yes") == (pair in {(drawn.colour, drawn.shape) for drawn in scene.objects})
    assert all({"0", "1", "2"} <= seen for seen in counts.values())


def test_half_of_the_presence_answers_are_yes_and_half_of_the_others_ask_about_a_colour_that_is_there() -> None:
    asked = [(scene, ask(scene, "presence", str(index))) for index, scene in enumerate(SCENES * 20)]
    absent = [(scene, question) for scene, question in asked if question.answer == "no"]
    near = [
        question for scene, question in absent if question.text.split()[3] in {drawn.colour for drawn in scene.objects}
    ]
    assert len(absent) / len(asked) == pytest.approx(0.5, abs=0.1)
    assert 0.5 < len(near) / len(absent) < 0.9  # others are near by chance


@pytest.mark.parametrize(("direction", "sign", "axis"), [("leftmost", 1, "x"), ("lowest", -1, "y")])
def test_the_extreme_object_is_the_outermost_one_in_its_direction(direction: str, sign: int, axis: str) -> None:
    asked = 0
    for index, scene in enumerate(SCENES * 4):
        question = ask(scene, "extreme", str(index))
        if direction not in question.text:
            continue
        asked += 1
        best = min(scene.objects, key=lambda drawn: sign * getattr(drawn, axis))
        assert question.answer == f"the {best.colour} {best.shape}"
    assert asked


def test_a_description_lists_every_object_from_left_to_right() -> None:
    scene = SCENES[0]
    answer = ask(scene, "describe", "0").answer
    codes = re.findall(r"labelled ([A-Z0-9]+)", answer)
    assert codes == [drawn.code for drawn in sorted(scene.objects, key=lambda drawn: drawn.x)]
    assert answer.startswith(f"{len(scene.objects)} objects: ")


def test_words_and_code_characters_are_single_tokens() -> None:
    tokenizer = train_tokenizer()
    for word in (*COLOUR_NAMES, *SHAPES, *(f"{shape}s" for shape in SHAPES), "labelled", "code", "object"):
        assert len(tokenizer.encode(f" {word}")) == 1
    for character in ALPHABET:
        assert len(tokenizer.encode(character)) == 1
    assert tokenizer.decode(tokenizer.encode("a red circle labelled K7Q2.")) == "a red circle labelled K7Q2."


def test_packed_questions_see_the_image_and_themselves_only() -> None:
    tokenizer = train_tokenizer()
    scene: Scene = draw_scene("pack", SINGLE)
    prefix = tokenizer.encode("<|im_start|>user\n")
    asked = [ask(scene, kind, "pack") for kind in KINDS]
    both = pack(tokenizer, [prefix], [asked], multiple=1)
    start = len(prefix)
    for question in asked:
        alone = pack(tokenizer, [prefix], [[question]], multiple=1)
        length = alone.ids.shape[1] - len(prefix)
        end = start + length
        assert both.ids[0, start:end].tolist() == alone.ids[0, len(prefix) :].tolist()
        assert both.positions[0, start:end].tolist() == alone.positions[0, len(prefix) :].tolist()
        assert both.labels[0, start:end].tolist() == alone.labels[0, len(prefix) :].tolist()
        seen = both.mask[0, 0, end - 1].nonzero()[:, 0].tolist()
        assert seen == [*range(len(prefix)), *range(start, end)]
        start = end
    assert (both.labels != IGNORED).any()


@pytest.mark.parametrize(
    ("kind", "text", "answer", "told"),
    [
        ("code", "What is the code on the red star?", "K7Q", [(" star", "K"), ("?", "7"), ("<|im_end|>", "Q")]),
        (
            "code",
            "What is the code on the red star?",
            "K7Q2X",
            [(" star", "K"), ("?", "7"), ("<|im_end|>", "Q"), ("\n", "2"), ("<|im_start|>", "X")],
        ),
        (
            "code",
            "What is the code on the red star?",
            "there is none",
            [(" star", "there"), ("?", " is"), ("<|im_end|>", " none")],
        ),
        ("presence", "Is there a red star?", "no", [(" star", "no"), ("?", "no")]),
        ("extreme", "Which object is the lowest?", "the red star", [(" lowest", " red"), ("?", " star")]),
        ("count shapes", "How many stars are there?", "2", [(" stars", "2"), (" are", "2")]),
        ("count colours", "How many red objects are there?", "0", [(" red", "0"), (" objects", "0")]),
        ("describe", "Describe the scene.", "1 object: a red star labelled K7Q.", []),
    ],
)
def test_a_spelled_question_foretells_its_answer_from_the_end_of_its_subject(
    kind: str, text: str, answer: str, told: list[tuple[str, str]]
) -> None:
    tokenizer = train_tokenizer()
    plain, spelled = (
        pack(tokenizer, [[]], [[Question(kind, text, answer)]], multiple=1, spell=s) for s in (False, True)
    )
    added = (plain.labels != spelled.labels)[0].nonzero()[:, 0]
    assert (plain.labels[0, added] == IGNORED).all()
    pairs = [(tokenizer.decode([spelled.ids[0, at]]), tokenizer.decode([spelled.labels[0, at]])) for at in added]
    assert pairs == told
    assert (spelled.kinds == plain.kinds).all()  # what is scored is the answer alone


def test_codes_that_are_asked_for_stand_where_their_objects_are_named() -> None:
    tokenizer = train_tokenizer()
    prefix = tokenizer.encode("<|im_start|>user\n")
    present = Question("code", "What is the code on the red star?", "K7Q2")
    absent = Question("code", "What is the code on the blue circle?", NO_CODE)
    other = Question("presence", "Is there a red star?", "yes")
    packed = pack(tokenizer, [prefix, [*prefix, *prefix]], [[other, present], [absent, present, present]])
    assert packed.codes.tolist() == [[1 + ALPHABET.index(character) for character in "K7Q2"] + [0]] * 3
    assert [tokenizer.decode([token]) for token in packed.ids.flatten()[packed.named]] == [" star"] * 3
    assert (packed.blocks.flatten()[packed.named]).tolist() == [1, 1, 2]
    assert (packed.named // packed.ids.shape[1]).tolist() == [0, 1, 1]


def test_remembered_texts_have_the_tokenizers_ids() -> None:
    tokenizer, remembering = train_tokenizer(), RememberingEncoder()
    for _ in range(2):
        for index, scene in enumerate(SCENES):
            for kind in KINDS:
                question = ask(scene, kind, str(index))
                for text in (question.text, question.answer + "<|im_end|>"):
                    assert remembering.encode(text) == tokenizer.encode(text)
