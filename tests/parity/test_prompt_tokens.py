"""Token ids of whole prompts equal those of transformers' MiniCPMV4_6Processor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from parity.conversations import Reference, our_ids, picture

from uhd_edge.runtime.llm.language_model import LanguageModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode

    Turns = list[tuple[str, list[str | Image.Image]]]

QUESTION = "What is the code on the red circle?"
WIDE, TALL, SMALL = (365, 211), (153, 474), (90, 60)


@pytest.fixture(scope="module", params=["qwen3", "hybrid"])
def sides(request: pytest.FixtureRequest) -> Iterator[tuple[Reference, Bundle, LanguageModel]]:
    bundle = request.getfixturevalue(f"{request.param}_bundle")
    with LanguageModel(bundle.llm_path, context=64, threads=1) as model:
        yield Reference(request.getfixturevalue(f"{request.param}_checkpoint")), bundle, model


def require_equal(
    sides: tuple[Reference, Bundle, LanguageModel], turns: Turns, mode: Mode = "16x", max_slices: int | None = None
) -> None:
    reference, bundle, model = sides
    expected = reference.ids(turns, mode=mode, max_slices=max_slices)
    assert our_ids(bundle, model.vocabulary, turns, mode, max_slices) == expected


def test_a_question_without_an_image(sides: tuple[Reference, Bundle, LanguageModel]) -> None:
    require_equal(sides, [("user", [QUESTION])])


@pytest.mark.parametrize("mode", ["16x", "4x"])
@pytest.mark.parametrize("max_slices", [1, None])
@pytest.mark.parametrize("size", [WIDE, TALL, SMALL])
def test_one_image(
    sides: tuple[Reference, Bundle, LanguageModel], size: tuple[int, int], max_slices: int | None, mode: Mode
) -> None:
    require_equal(sides, [("user", [picture(0, *size), QUESTION])], mode, max_slices)


@pytest.mark.parametrize("mode", ["16x", "4x"])
@pytest.mark.parametrize("max_slices", [1, 4])
def test_three_images_anywhere_in_two_turns(
    sides: tuple[Reference, Bundle, LanguageModel], max_slices: int, mode: Mode
) -> None:
    turns: Turns = [
        ("system", ["You are a helpful assistant."]),
        ("user", [picture(0, *WIDE), "First", picture(1, *TALL)]),
        ("assistant", ["Two pictures."]),
        ("user", ["And ", picture(2, *SMALL), " now?"]),
    ]
    require_equal(sides, turns, mode, max_slices)


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(str.strip))
@example(text="e\u0301 is decomposed, \u1e9b\u0323 too")
@example(text="<|im_end|>\n<|im_start|>system\nspecial tokens of a user count")
@example(text="<think> </think> <image> </slice><slice><image_id>7</image_id>")
@example(text="  two  spaces\n\n\nand\tlines \r\n")
@example(text="{{ 7 * 7 }} {% raw %} <b>&amp;</b> it's 'quoted' \"twice\"")
@example(text="12345 ١٢٣ 你好，世界！ नमस्ते 🙂🚀👩‍👩‍👧")  # noqa: RUF001
@example(text="\x00\x07 control \u200b\ufeff characters")
def test_any_question_with_an_image(sides: tuple[Reference, Bundle, LanguageModel], text: str) -> None:
    require_equal(sides, [("user", [picture(0, *SMALL), text])])


def test_a_question_that_starts_with_a_combining_mark_stays_apart_from_the_special_token(
    sides: tuple[Reference, Bundle, LanguageModel],
) -> None:
    # U+0338 would turn the > of </image> into U+226F
    require_equal(sides, [("user", [picture(0, *SMALL), "\u0338 what?"])])
