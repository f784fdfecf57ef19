"""LLaVA-UHD v4's own checkpoints and their baseline: embeddings, prompts and greedy text of the training code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from parity.conversations import messages, our_ids, picture, require_greedy
from support.language_models.heard import heard_tokens, open_exactly
from support.llava.training_code import TrainingCode

from uhd_edge.cli.main import exit_code
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.errors import UhdError
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.prompt.room import PromptInputs
from uhd_edge.runtime.vision.encoder import VisionEncoder
from uhd_edge.runtime.vision.slicing import plan_views

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.session import Session

QUESTION = "What is the code on the red circle?"
TOKENS = 32
TIE = 1e-4  # where the reference is this undecided between two tokens, rounding decides
# In 4x the last has 50 patches in a row, some of which lie on the border of two rows of the position table.
SIZES = [(365, 211), (60, 150), (50, 40), (410, 10)]
NO, ONE, THREE = [], [picture(0, 365, 211)], [picture(1, 365, 211), picture(2, 153, 174), picture(3, 90, 400)]
CASES = {
    "no image": (NO, 9),
    "one in one view": (ONE, 1),
    "one in slices": (ONE, 9),
    "three in one view each": (THREE, 1),
    "three in slices": (THREE, 2),
}


class Sides:
    """The training code's model, and an assistant with the bundle of the same checkpoint."""

    def __init__(self, code: TrainingCode, bundle: Bundle) -> None:
        self.code, self.bundle, self.assistant = code, bundle, open_exactly(bundle)

    def __repr__(self) -> str:
        return "both sides"

    @property
    def modes(self) -> list[Mode]:
        return list(self.bundle.manifest.graphs)

    def ask(
        self, session: Session, turns: Any, images: list[Any], question: str, max_slices: int, *, mode: Mode = "16x"
    ) -> Answer:
        """Ask, and require the reference's tokens for `turns` and their text."""
        with heard_tokens() as heard:
            answer = session.ask(images, question, mode=mode, max_slices=max_slices, max_tokens=TOKENS)
        tokens, ahead = self.code.generate(turns, mode, max_slices, TOKENS)
        assert len(tokens) == TOKENS or tokens[-1] in self.code.ends
        require_greedy(heard, tokens, ahead, tie=TIE)
        assert answer.text == self.code.text(heard)
        assert answer.usage.prompt_tokens == len(self.code.ids(turns, mode, max_slices))
        return answer


@pytest.fixture(scope="module", params=["llava_checkpoint", "llava_baseline"])
def sides(request: pytest.FixtureRequest) -> Iterator[Sides]:
    bundle = "llava_bundle" if request.param == "llava_checkpoint" else "baseline_bundle"
    both = Sides(TrainingCode(request.getfixturevalue(request.param)), request.getfixturevalue(bundle))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for matrices as small as these more are slower
    with both.assistant:
        yield both
    torch.set_num_threads(threads)


def test_embeddings_are_those_of_the_training_code(sides: Sides) -> None:
    for mode in sides.modes:
        with VisionEncoder(sides.bundle, mode=mode, threads=1) as encoder:
            for width, height in SIZES:
                image = picture(width, width, height)
                views = sides.code.prepare(image, mode, 9).views
                seen = encoder.encode(image)
                expected = [sides.code.embed(view, mode).numpy() for view in views]
                assert [view.tokens for view in seen.views] == [len(view) for view in expected]
                ends = np.cumsum([view.tokens for view in seen.views])
                for ours, theirs in zip(np.split(seen.embeddings, ends[:-1]), expected, strict=True):
                    assert np.abs(ours - theirs).max() <= 1e-4 * theirs.std(), (mode, width, height)


@pytest.mark.parametrize(("images", "max_slices"), CASES.values(), ids=CASES)
def test_prompts_are_those_of_the_training_code_and_positions_count_on(
    sides: Sides, images: list[Any], max_slices: int
) -> None:
    turns: Any = [("user", [*images, QUESTION]), ("assistant", ["JX7."]), ("user", ["And", *images, "here?"])]
    with LanguageModel(sides.bundle.llm_path, context=2000, threads=1) as model:
        for mode in sides.modes:
            assert our_ids(sides.bundle, model.vocabulary, turns, mode, max_slices) == sides.code.ids(
                turns, mode, max_slices
            )
        manifest = sides.bundle.manifest
        plans = [plan_views(*image.size, manifest.preprocessing, mode="16x") for image in images * 2]
        inputs = PromptInputs(messages(turns), manifest, plans, [None] * len(plans))
        assert inputs.lay_out(model.vocabulary).positions is None


@pytest.mark.parametrize(("images", "max_slices"), CASES.values(), ids=CASES)
def test_greedy_answers_of_two_turns_are_those_of_the_training_code(
    sides: Sides, images: list[Any], max_slices: int
) -> None:
    turns: Any = [("user", [*images, QUESTION])]
    with sides.assistant.session() as session:
        first = sides.ask(session, turns, images, QUESTION, max_slices)
        turns += [("assistant", [first.text]), ("user", [*ONE, "And here?"])]
        second = sides.ask(session, turns, ONE, "And here?", max_slices)
    assert first.usage.completion_tokens == second.usage.completion_tokens == TOKENS


SIDE = st.integers(20, 700)
PICTURES = st.builds(picture, st.integers(0, 2**16), SIDE, SIDE)
# Neighbouring words, spaces and signs are other tokens together than alone.
QUESTIONS = st.text(" .,?\n0159aehorstwxäß你", min_size=1, max_size=40).filter(str.strip)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(images=st.lists(PICTURES, max_size=3), question=QUESTIONS, max_slices=st.integers(1, 4), data=st.data())
def test_greedy_answers_about_any_pictures_are_those_of_the_training_code(
    sides: Sides, images: list[Any], question: str, max_slices: int, data: st.DataObject
) -> None:
    mode = data.draw(st.sampled_from(sides.modes))
    turns: Any = [("user", [*images, question])]
    ids = sides.code.ids(turns, mode, max_slices)
    assume(len(ids) + TOKENS < sides.assistant.context)
    with sides.assistant.session() as session:
        sides.ask(session, turns, images, question, max_slices, mode=mode)
        assert our_ids(sides.bundle, sides.assistant._model.vocabulary, turns, mode, max_slices) == ids


def test_the_baseline_has_one_mode_and_says_so(baseline_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    vision = baseline_bundle.manifest.vision
    assert (list(baseline_bundle.manifest.graphs), vision.merge_rounds, vision.has_compressor) == (["16x"], 2, False)
    with Assistant(baseline_bundle, threads=1) as assistant, pytest.raises(UhdError, match="no 4x graphs"):
        assistant.ask(ONE, QUESTION, mode="4x")
    assert exit_code(["inspect", str(baseline_bundle.path)]) == 0
    assert "3 layers of width 48, no compressor, the connector merges 2 times" in capsys.readouterr().out
