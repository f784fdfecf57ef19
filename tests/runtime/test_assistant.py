"""The whole way on a bundle of copying graphs and a random language model; answers are compared in tests/parity."""

from __future__ import annotations

import io
import os
import re
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from support.answering_bundle import bundle_of, save
from support.tiny_gguf import HIDDEN, tokens

from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime import Assistant, Bundle
from uhd_edge.runtime import timing as stages
from uhd_edge.runtime.conversation import new_images
from uhd_edge.runtime.errors import (
    BundleError,
    ContextError,
    EngineError,
    ImageError,
    ModelError,
    OptionError,
    PromptError,
)
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.vocabulary import Vocabulary
from uhd_edge.runtime.prompt.room import PromptPlan
from uhd_edge.runtime.vision import encoder as vision
from uhd_edge.runtime.vision import opening as tower_opening
from uhd_edge.runtime.vision import view_reuse
from uhd_edge.runtime.vision import vision_engines as towers
from uhd_edge.runtime.vision.encoder import VisionEncoder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUESTION = "What is it?"
STAGES = ["decode", "slice", "open", "cache", "patches", "encoder", "connector"]
STAGES += ["prompt", "prefill", "first_token", "generate", "total"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle_of(tmp_path_factory.mktemp("bundles") / "telling")


@pytest.fixture
def assistant(bundle: Bundle) -> Iterator[Assistant]:
    with Assistant(bundle, threads=1) as assistant:
        yield assistant


def picture(seed: int = 0, size: tuple[int, int] = (365, 211)) -> Image.Image:
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize(size)


def test_an_answer_tells_what_it_took(assistant: Assistant) -> None:
    answer = assistant.ask(picture(), QUESTION, max_tokens=5)
    assert answer.text == answer.text.strip()
    assert answer.finish_reason in ("stop", "length")
    assert 1 <= answer.usage.completion_tokens <= 5
    assert [(view.rows, view.columns, view.tokens) for view in answer.views] == [(8, 12, 6), *[(8, 8, 4)] * 6]
    assert answer.usage.vision_tokens == 30
    assert answer.usage.prompt_tokens > 30 + len(QUESTION) / 2
    assert list(answer.timings) == STAGES
    assert answer.mode == "16x"


def test_timings_add_up(assistant: Assistant) -> None:
    timings = assistant.ask([picture(0), picture(1)], QUESTION, max_tokens=5).timings
    assert all(milliseconds > 0 for stage, milliseconds in timings.items() if stage != "open")
    assert sum(timings[stage] for stage in STAGES[:9]) <= timings["first_token"]
    assert timings["first_token"] + timings["generate"] == pytest.approx(timings["total"])


def test_every_step_is_in_a_stage_and_the_stages_make_up_the_total(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a clock that stands still but for these steps, which take so many seconds every time."""
    now = [0.0]
    monkeypatch.setattr(stages.time, "perf_counter", lambda: now[0])
    owners: list[tuple[Any, str, float]] = [
        (new_images, "load_image", 1),
        (vision, "slice_image", 2),
        (tower_opening, "open_onnxruntime", 300),
        (view_reuse, "content_key", 3),
        (towers, "patches_of", 5),
        (OnnxRuntimeEngine, "run", 70),
        (PromptPlan, "layout", 13),
        (LanguageModel, "prefill_steps", 170),
        (Vocabulary, "piece", 19),
    ]
    for owner, name, seconds in owners:
        monkeypatch.setattr(owner, name, taking(seconds, getattr(owner, name), now))
    with Assistant(bundle, threads=1) as assistant:
        assert assistant.opening["engines"] == 600_000  # encoder and connector
        told = assistant.ask(picture(), QUESTION, max_tokens=2).timings
        assert told["open"] == 0
        other = assistant.ask(picture(), QUESTION, max_tokens=2, mode="4x").timings
        assert other["open"] == 300_000  # the connector was open
    for timings in (told, other):
        assert all(milliseconds > 0 for stage, milliseconds in timings.items() if stage != "open")
        assert timings["total"] == pytest.approx(sum(timings[stage] for stage in STAGES[:9]) + timings["generate"])


def taking(seconds: float, step: Any, now: list[float]) -> Any:
    def slow(*arguments: Any, **options: Any) -> Any:
        now[0] += seconds
        return step(*arguments, **options)

    return slow


def test_a_stream_is_the_answer_in_pieces(assistant: Assistant) -> None:
    pieces = list(assistant.stream(picture(), QUESTION, max_tokens=20))
    assert len(pieces) > 1
    assert "".join(pieces).strip() == assistant.ask(picture(), QUESTION, max_tokens=20).text


def test_an_answer_can_be_ended_after_every_step(assistant: Assistant) -> None:
    whole = assistant.ask([picture(0), picture(1)], QUESTION, max_tokens=8)

    def returned() -> Iterator[str]:
        answer = yield from assistant.steps([picture(0), picture(1)], QUESTION, max_tokens=8)
        assert answer.text == whole.text

    pieces = list(returned())
    assert "".join(pieces).strip() == whole.text
    assert pieces[:3] == [""] * 3  # decoding, and one for each image
    assert whole.usage.completion_tokens <= len(pieces) - 3 <= whole.usage.completion_tokens + 1
    for count in range(len(pieces)):
        with closing(assistant.steps([picture(0), picture(1)], QUESTION, max_tokens=8)) as steps:
            assert [next(steps) for _ in range(count)] == pieces[:count]
        assert assistant.ask([picture(0), picture(1)], QUESTION, max_tokens=8).text == whole.text


def test_an_image_may_come_in_any_form(assistant: Assistant, tmp_path: Path) -> None:
    image = picture()
    file = tmp_path / "image.png"
    image.save(file)
    data = io.BytesIO()
    image.save(data, "PNG")
    content = data.getvalue()
    forms: list[Any] = [image, file, str(file), content, np.asarray(image), [file], (image,)]
    forms += [bytearray(content), memoryview(content), next(os.scandir(tmp_path)), memoryview(content * 2)[::1]]
    answers = {assistant.ask(form, QUESTION, max_tokens=8).text for form in forms}
    assert len(answers) == 1


@pytest.mark.parametrize(
    "wrong", [5, 1.5, {}, {"a": 1}, iter(()), object(), [None], ["none.png"], b"", bytearray(b"no")]
)
def test_what_is_no_image_is_one_error(assistant: Assistant, wrong: Any) -> None:
    with pytest.raises(ImageError):
        assistant.ask(wrong, QUESTION)


def test_a_bundle_may_be_named_by_its_folder(tmp_path: Path) -> None:
    folder = save(bundle_of(tmp_path / "bundle")).path
    for named in (folder, str(folder)):
        with Assistant(named, threads=1) as assistant, VisionEncoder(named, threads=1) as encoder:
            assert assistant.bundle.path == encoder.bundle.path == folder
    wrong: Any
    for wrong in (tmp_path / "none", 5, b"bundle"):
        with pytest.raises(BundleError):
            Assistant(wrong)


def test_a_damaged_graph_is_told_when_the_assistant_is_made(tmp_path: Path) -> None:
    damaged = bundle_of(tmp_path / "damaged")
    (damaged.path / "graphs/connector.onnx").write_bytes(b"damaged")
    with pytest.raises(EngineError, match=r"connector.onnx: cannot be opened"):
        Assistant(damaged, threads=1)


@pytest.mark.parametrize("setting", [{"max_slices": "3"}, {"max_slices": 2.5}, {"threads": "2"}, {"context": "9"}])
def test_an_assistant_with_a_setting_without_sense_is_not_made(bundle: Bundle, setting: dict[str, Any]) -> None:
    (name,) = setting
    with pytest.raises((OptionError, ImageError), match=rf"^{name} is .*; it must be "):
        Assistant(bundle, **setting)


def test_numpys_numbers_are_numbers(bundle: Bundle) -> None:
    settings: dict[str, Any] = {"temperature": np.float32(1.5), "top_p": np.float64(0.9), "min_p": np.float16(0)}
    settings |= {"top_k": np.int32(20), "seed": np.uint8(3), "max_tokens": np.int64(5), "max_slices": np.int16(2)}
    made: dict[str, Any] = {"threads": np.int64(1), "context": np.int32(512), "gpu_layers": np.int8(0)}
    with Assistant(bundle, **made) as assistant:
        plain = {name: value.item() for name, value in settings.items()}
        answers = [assistant.ask(picture(), QUESTION, **values) for values in (settings, plain)]
    assert answers[0].text == answers[1].text
    assert answers[0].usage == answers[1].usage


def test_no_image_and_several_images(assistant: Assistant) -> None:
    none, empty = (assistant.ask(images, QUESTION, max_tokens=3) for images in (None, []))
    assert none.usage.vision_tokens == 0
    assert none.views == ()
    assert none.text == empty.text
    one = assistant.ask(picture(0), QUESTION, max_tokens=3)
    two = assistant.ask([picture(0), picture(1, (90, 60))], QUESTION, max_tokens=3)
    assert two.views[: len(one.views)] == one.views
    assert two.usage.vision_tokens > one.usage.vision_tokens


def test_mode_and_slices_are_chosen_per_question(bundle: Bundle) -> None:
    with Assistant(bundle, mode="4x", max_slices=2, threads=1) as assistant:
        own = assistant.ask(picture(), QUESTION, max_tokens=1)
        assert (own.mode, len(own.views)) == ("4x", 3)
        other = assistant.ask(picture(), QUESTION, max_tokens=1, mode="16x", max_slices=1)
        assert (other.mode, len(other.views)) == ("16x", 1)
        assert assistant.ask(picture(), QUESTION, max_tokens=1).views == own.views


def test_every_question_starts_anew(assistant: Assistant) -> None:
    first = assistant.ask(picture(0), QUESTION, max_tokens=10)
    assistant.ask(picture(1), "Something else?", max_tokens=10, temperature=2.0, seed=3)
    assert assistant.ask(picture(0), QUESTION, max_tokens=10).text == first.text


def test_the_same_seed_gives_the_same_text(assistant: Assistant) -> None:
    texts = [assistant.ask(None, QUESTION, max_tokens=20, temperature=1.5, seed=seed).text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_a_stream_may_be_left_early(assistant: Assistant) -> None:
    expected = assistant.ask(picture(), QUESTION, max_tokens=20).text
    pieces = assistant.stream(picture(), QUESTION, max_tokens=20)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert assistant.ask(picture(), QUESTION, max_tokens=20).text == expected


def test_a_new_question_ends_a_stream_that_is_still_open(assistant: Assistant) -> None:
    expected = assistant.ask(None, QUESTION, max_tokens=20).text
    pieces = assistant.stream(None, "And that?", max_tokens=20)
    next(pieces)
    assert assistant.ask(None, QUESTION, max_tokens=20).text == expected
    with pytest.raises(PromptError, match="another question was asked"):
        next(pieces)


def test_questions_from_several_threads_do_not_mix(assistant: Assistant) -> None:
    questions = [f"Question {number}?" for number in range(6)]
    expected = [assistant.ask(None, question, max_tokens=12).text for question in questions]
    found: dict[int, str] = {}

    def ask(number: int) -> None:
        found[number] = assistant.ask(None, questions[number], max_tokens=12).text

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(6)] == expected


def test_a_prompt_that_does_not_fit_names_the_slices_that_do(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(0, (900, 700))
    with Assistant(bundle, threads=1, context=84) as assistant:
        with monkeypatch.context() as patch:
            patch.setattr(assistant._encoder, "encode", lambda *_, **__: pytest.fail("encoded an image for nothing"))
            with pytest.raises(ContextError) as caught:
                assistant.ask(image, QUESTION)
        message = str(caught.value)
        tokens_said = re.match(r"the prompt needs (\d+) tokens \((\d+) vision, (\d+) text\)", message)
        assert tokens_said is not None
        total, vision, text = map(int, tokens_said.groups())
        assert total == vision + text
        told = f"but the context of 84 holds 83 beside an answer, of which {83 - text} may be vision tokens; "
        assert told in message
        assert f"or use --context {total + 1} or more" in message
        (slices,) = map(int, re.findall(r"use --max-slices (\d+)", message))
        assert assistant.ask(image, QUESTION, max_slices=slices, max_tokens=1).usage.prompt_tokens == 83
        with pytest.raises(ContextError):
            assistant.ask(image, QUESTION, max_slices=slices + 1)
    with Assistant(bundle, threads=1, context=total + 1) as assistant:
        answer = assistant.ask(image, QUESTION)
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (total, 1)


def test_only_what_helps_is_advised(bundle: Bundle) -> None:
    with Assistant(bundle, threads=1, context=20) as assistant:
        with pytest.raises(ContextError, match=r"may be vision tokens; use --context \d+ or more$"):
            assistant.ask(picture(), QUESTION)
        with pytest.raises(
            ContextError, match=r"may be vision tokens; shorten the question, or use --context \d+ or more$"
        ):
            assistant.ask([picture()] * 2, "What? " * 20)
        with pytest.raises(
            ContextError, match=r"beside an answer; shorten the question, or use --context \d+ or more$"
        ):
            assistant.ask(None, "What? " * 20)
    with Assistant(bundle, threads=1) as assistant:
        with pytest.raises(ContextError, match=r"all that the model was trained for, .*; shorten the question$"):
            assistant.ask(None, "What? " * 1000)
        with pytest.raises(ContextError, match=r"; use fewer images$"):
            assistant.ask([picture()] * 90, QUESTION, max_slices=1)
        with pytest.raises(ContextError, match=r"; use --max-slices \d, or use --mode 16x$"):
            assistant.ask([picture(0, (900, 700))] * 7, QUESTION, mode="4x")


def test_a_thin_image_is_called_thin_and_not_too_long(tmp_path: Path) -> None:
    wide = bundle_of(tmp_path / "wide", scale_resolution=448)
    with Assistant(wide, threads=1, context=64) as assistant, pytest.raises(ImageError, match="is too thin"):
        assistant.ask(picture(0, (300_000, 1)), QUESTION)


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ({"max_tokens": 0}, OptionError),
        ({"max_tokens": 1.5}, OptionError),
        ({"temperature": -1}, OptionError),
        ({"top_p": 2.0}, OptionError),
        ({"seed": -1}, OptionError),
        ({"mode": "8x"}, OptionError),
        ({"max_slices": 0}, OptionError),
    ],
)
def test_a_setting_without_sense_is_refused_at_once(
    assistant: Assistant, setting: dict[str, Any], error: type[Exception]
) -> None:
    (name,) = setting
    with pytest.raises(error, match=rf"^{name} is "):
        assistant.ask(None, QUESTION, **setting)
    with pytest.raises(error, match=rf"^{name} is "):
        assistant.stream(None, QUESTION, **setting)


@pytest.mark.parametrize("question", ["", " \n", "What is <|image_pad|>?", "\udcff", 5])
def test_a_question_that_is_none_is_refused(assistant: Assistant, question: Any) -> None:
    with pytest.raises(PromptError):
        assistant.ask(None, question)


def test_an_assistant_outlives_its_errors(assistant: Assistant, tmp_path: Path) -> None:
    expected = assistant.ask(picture(), QUESTION, max_tokens=5).text
    with pytest.raises(ImageError):
        assistant.ask(tmp_path / "none.png", QUESTION)
    with pytest.raises(ContextError):
        assistant.ask(None, "What? " * 1000)
    assert assistant.ask(picture(), QUESTION, max_tokens=5).text == expected


def test_a_closed_assistant_says_so(bundle: Bundle) -> None:
    assistant = Assistant(bundle, threads=1)
    pieces = assistant.stream(None, QUESTION)
    next(pieces)
    assistant.close()
    assistant.close()
    with pytest.raises(ModelError, match="has been closed"):
        next(pieces)
    with pytest.raises(ModelError, match="has been closed"):
        assistant.ask(None, QUESTION)
    with pytest.raises(ModelError, match="has been closed"):
        assistant.stream(None, QUESTION)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": HIDDEN + 1}, f"embeddings of width {HIDDEN}, but the bundle was made for {HIDDEN + 1}"),
        ({"vocabulary_size": 9}, f"a vocabulary of {len(tokens())}, but the bundle was made for 9"),
    ],
)
def test_a_language_model_of_another_size_is_refused(bundle: Bundle, changes: dict[str, int], message: str) -> None:
    llm = bundle.manifest.llm.model_copy(update=changes)
    with pytest.raises(ModelError, match=message):
        Assistant(Bundle(bundle.path, bundle.manifest.model_copy(update={"llm": llm})))


def test_a_language_model_that_does_not_know_the_special_tokens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not know the special tokens <|image_pad|>, <image>".replace("|", r"\|")):
        Assistant(bundle_of(tmp_path / "bundle", special_tokens_known=False))


def test_names_are_loaded_when_first_used() -> None:
    import uhd_edge.runtime

    assert sorted(dir(uhd_edge.runtime)) == sorted(uhd_edge.runtime.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = uhd_edge.runtime.Nothing
