"""Images and a question in, text out: equal to transformers' `generate`, greedy, token for token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from parity.conversations import Reference, generate_greedily, messages, picture
from support.checkpoints import load_model

from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.prompt.layout import build_prompt
from uhd_edge.runtime.vision.encoder import VisionEncoder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode

QUESTION = "What is the code on the red circle?"
TOKENS = 32
# Where transformers itself is this undecided between two tokens, rounding decides.
TIE = 0.02


class Sides:
    """transformers' model and processor, and our bundle of the same checkpoint."""

    def __init__(self, checkpoint: Any, bundle: Bundle) -> None:
        self.reference = Reference(checkpoint)
        self.model = load_model(checkpoint)
        self.bundle = bundle
        self.assistant = Assistant(bundle, threads=1)

    def generate(self, inputs: Any, mode: Mode, **options: Any) -> tuple[list[int], list[float]]:
        """The reference's answer as token ids, and by how much each was ahead of the second best."""
        return generate_greedily(self.model, inputs, mode, TOKENS, **options)

    def text(self, tokens: list[int]) -> str:
        return self.reference.processor.post_process_image_text_to_text([tokens])[0]


@pytest.fixture(scope="module", params=["qwen3", "hybrid"])
def sides(request: pytest.FixtureRequest) -> Iterator[Sides]:
    checkpoint, bundle = (request.getfixturevalue(f"{request.param}_{what}") for what in ("checkpoint", "bundle"))
    both = Sides(checkpoint, bundle)
    with both.assistant:
        yield both


def before_a_tie(tokens: list[int], margins: list[float]) -> list[int]:
    ties = [step for step, margin in enumerate(margins) if margin < TIE]
    return tokens[: ties[0]] if ties else tokens


@pytest.mark.parametrize("mode", ["16x", "4x"])
def test_greedy_answers_equal_those_of_transformers(sides: Sides, mode: Mode) -> None:
    compared, texts = 0, []
    for seed, max_slices in ((0, 1), (1, 1), (0, 9), (2, 9)):
        image = picture(seed, 365, 211)
        inputs = sides.reference.inputs([("user", [image, QUESTION])], mode, max_slices)
        tokens = before_a_tie(*sides.generate(inputs, mode))
        if not tokens:
            continue
        answer = sides.assistant.ask(image, QUESTION, mode=mode, max_slices=max_slices, max_tokens=len(tokens))
        assert answer.text == sides.text(tokens)
        assert answer.usage.prompt_tokens == inputs["input_ids"].shape[1]
        compared += len(tokens)
        texts.append(answer.text)
    assert compared > 2 * TOKENS
    assert len(set(texts)) == len(texts), "the answer does not depend on the image"


def test_several_images_equal_those_of_transformers(sides: Sides) -> None:
    images = [picture(3, 365, 211), picture(4, 153, 174)]
    inputs = sides.reference.inputs([("user", [*images, QUESTION])], max_slices=2)
    tokens = before_a_tie(*sides.generate(inputs, "16x"))
    assert sides.assistant.ask(images, QUESTION, max_slices=2, max_tokens=len(tokens)).text == sides.text(tokens)


def test_a_question_without_an_image_equals_transformers(sides: Sides) -> None:
    inputs = sides.reference.inputs([("user", [QUESTION])])
    tokens = before_a_tie(*sides.generate(inputs, "16x"))
    assert sides.assistant.ask(None, QUESTION, max_tokens=len(tokens)).text == sides.text(tokens)


def test_the_repetition_penalty_is_that_of_transformers(sides: Sides) -> None:
    inputs = sides.reference.inputs([("user", [QUESTION])])
    tokens = before_a_tie(*sides.generate(inputs, "16x", repetition_penalty=1.3))
    answer = sides.assistant.ask(None, QUESTION, max_tokens=len(tokens), repetition_penalty=1.3)
    assert answer.text == sides.text(tokens)
    assert answer.text != sides.assistant.ask(None, QUESTION, max_tokens=len(tokens)).text


def test_logits_after_the_prompt_agree_with_transformers(sides: Sides) -> None:
    turns: Any = [("user", [picture(0, 365, 211), QUESTION])]
    inputs = sides.reference.inputs(turns)
    with torch.inference_mode():
        expected = sides.model(**inputs, downsample_mode="16x").logits[0, -1].numpy()
    with (
        VisionEncoder(sides.bundle, threads=1) as encoder,
        LanguageModel(sides.bundle.llm_path, threads=1, exact=True) as model,
    ):
        encoded = encoder.encode(turns[0][1][0])
        model.prefill(build_prompt(messages(turns), [encoded], sides.bundle.manifest.prompt, model.vocabulary))
        found = model.logits()
    assert np.abs(found - expected).max() < 2e-3 * expected.std()
