"""Images and a question in, text out: equal to transformers' `generate`, greedy, token for token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from parity.conversations import generate_greedily, messages, picture
from parity.sides import ASKED, EXACT_TIE, QUESTION, TOKENS, Sides
from support.checkpoints import TinyCheckpoint, save_checkpoint

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.export import export_bundle
from uhd_edge.export.language_model.conversion import convert_language_model
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.memory.gguf_sizes import read_gguf_sizes
from uhd_edge.runtime.prompt.layout import build_prompt
from uhd_edge.runtime.vision.encoder import VisionEncoder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode


@pytest.fixture(scope="module", params=["qwen3", "hybrid", "dense"])
def sides(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    if request.param == "dense":
        both = Sides(*ready_made(tmp_path_factory.mktemp("dense")))
    else:
        both = Sides(*(request.getfixturevalue(f"{request.param}_{what}") for what in ("checkpoint", "bundle")))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for matrices as small as these more are slower
    with both.assistant, both.exact:
        yield both
    torch.set_num_threads(threads)


def ready_made(folder: Path) -> tuple[Path, Bundle]:
    """A dense Qwen3.5, exported with a language model that was converted before, and has an idle layer from then."""
    # No answer of this seed ends early.
    tiny = TinyCheckpoint("qwen3_5_text", seed=15, attention="all", tied=False)
    save_checkpoint(folder / "checkpoint", tiny)
    file = folder / "ready.gguf"
    (folder / "scratch").mkdir()
    with open_checkpoint(folder / "checkpoint") as checkpoint:
        convert_language_model(
            checkpoint, file, llm_type="f32", tokenizer_pre=None, scratch=folder / "scratch", progress=lambda _: None
        )
    sizes = read_gguf_sizes(file)
    assert (sizes.layers, sizes.attention_layers) == (5, 4)
    return folder / "checkpoint", export_bundle(folder / "checkpoint", folder / "bundle", llm=file, precisions=["fp32"])


@pytest.mark.parametrize("mode", ["16x", "4x"])
@pytest.mark.parametrize(("images", "max_slices"), ASKED.values(), ids=ASKED)
def test_greedy_answers_of_two_turns_are_those_of_transformers(
    sides: Sides, images: list[Any], max_slices: int, mode: Mode
) -> None:
    sides.require_two_turns(images, max_slices, mode)


def text_before_a_tie(sides: Sides, inputs: Any, **options: Any) -> tuple[str, int]:
    """transformers' text, and the number of its tokens."""
    tokens, ahead = generate_greedily(sides.model, inputs, "16x", TOKENS, **options)
    count = next((step for step, margin in enumerate(ahead) if margin < EXACT_TIE), len(tokens))
    return sides.reference.processor.post_process_image_text_to_text([tokens[:count]])[0], count


def test_texts_equal_those_of_transformers_and_depend_on_the_image(sides: Sides) -> None:
    texts = []
    for seed in (0, 1, 2):
        image = picture(seed, 365, 211)
        inputs = sides.reference.inputs([("user", [image, QUESTION])], "16x", 1)
        text, count = text_before_a_tie(sides, inputs)
        texts.append(sides.exact.ask(image, QUESTION, max_slices=1, max_tokens=count).text)
        assert texts[-1] == text
    assert len(set(texts)) == len(texts)


def test_the_repetition_penalty_is_that_of_transformers(sides: Sides) -> None:
    inputs = sides.reference.inputs([("user", [QUESTION])])
    text, count = text_before_a_tie(sides, inputs, repetition_penalty=1.3)
    answer = sides.exact.ask(None, QUESTION, max_tokens=count, repetition_penalty=1.3)
    assert answer.text == text
    assert answer.text != sides.exact.ask(None, QUESTION, max_tokens=count).text


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
