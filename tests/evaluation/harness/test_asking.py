from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib import import_module

import pytest
from PIL import Image
from support.places import ROOT

from uhd_edge.evaluation.harness.asking import answer_turns, generation_options
from uhd_edge.runtime import Assistant
from uhd_edge.runtime.errors import OptionError

QUESTION = "What is the code on the white star?"
PICTURE = ROOT / "examples" / "bench.png"


@pytest.fixture(scope="module")
def assistant() -> Iterator[Assistant]:
    with Assistant() as opened:
        yield opened


def test_pictures_and_words_are_asked_in_the_order_in_which_a_harness_has_them(assistant: Assistant) -> None:
    parts = [("image", str(PICTURE)), ("text", QUESTION)]
    answer = answer_turns(assistant, [("user", parts)], {"max_tokens": 16}, name="first")
    assert answer is not None
    assert answer.text == assistant.ask(PICTURE, QUESTION, max_tokens=16).text == "JX7"
    assert answer_turns(assistant, [("user", parts[::-1])], {"max_tokens": 1}, name="second") is not None


def test_what_cannot_be_asked_is_no_answer_and_a_warning(
    assistant: Assistant, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        answer = answer_turns(assistant, [("user", [("image", "gone.png"), ("text", "What?")])], {}, name="mmstar 7")
    assert answer is None
    assert "mmstar 7" in caplog.text
    assert "gone.png" in caplog.text


def test_sound_is_refused(assistant: Assistant) -> None:
    with pytest.raises(OptionError, match="audio"):
        answer_turns(assistant, [("user", [("audio", "a.wav"), ("text", "What?")])], {}, name="any")


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ({"max_new_tokens": 16, "num_beams": 1, "until": ["\n\n", ""]}, {"max_tokens": 16, "stop": ["\n\n"]}),
        ({"do_sample": False, "temperature": 0.7}, {"temperature": 0}),
        ({"do_sample": True, "temperature": 0.7, "top_p": 0.9}, {"temperature": 0.7, "top_p": 0.9}),
        ({"top_p": None, "until": []}, {}),
    ],
)
def test_settings_of_generation_get_our_names(given: dict[str, object], ours: dict[str, object]) -> None:
    assert generation_options(given) == ours


def test_lmms_eval_finds_the_model_by_its_name() -> None:
    registry = pytest.importorskip("lmms_eval.models.registry_v2", reason="lmms-eval is not installed")
    models = registry.ModelRegistryV2()
    module, function = ["uhd_edge.evaluation.harness.lmms_eval_entry", "manifest"]
    assert f'uhd_edge = "{module}:{function}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    models.register_manifest(getattr(import_module(module), function)())
    assert models.get_model_class("uhd_edge").__module__ == "uhd_edge.evaluation.harness.lmms_eval_model"


def test_lmms_eval_asks_its_model() -> None:
    pytest.importorskip("lmms_eval", reason="lmms-eval is not installed")
    from lmms_eval.api.instance import Instance

    from uhd_edge.evaluation.harness.lmms_eval_model import UhdEdge

    def messages(row: dict[str, object]) -> list[dict[str, object]]:
        content = [{"type": "image", "url": row["image"]}, {"type": "text", "text": row["question"]}]
        return [{"role": "user", "content": content}]

    model = UhdEdge.create_from_arg_string("max_slices=9,threads=1", {"batch_size": 1, "device": None})
    rows = [{"image": Image.open(PICTURE), "question": QUESTION}]
    model.task_dict["bench"] = {"test": rows}
    arguments = ("", messages, {"max_new_tokens": 16}, 0, "bench", "test")
    metadata = {"task": "bench", "doc_id": 0, "repeats": 1}
    (result,) = model.generate_until([Instance("generate_until", arguments, 0, metadata)])
    assert (result.text, result.token_counts.output_tokens) == ("JX7", 4)
    with pytest.raises(NotImplementedError, match="loglikelihood"):
        model.loglikelihood([])


def test_vlmevalkit_asks_the_class_that_a_configuration_names() -> None:
    vlm = pytest.importorskip("vlmeval.vlm", reason="VLMEvalKit is not installed")
    from uhd_edge.evaluation.harness.vlmevalkit_model import register

    register()
    model = vlm.UhdEdge(max_slices=9, max_tokens=16)
    message = [{"type": "image", "value": str(PICTURE)}, {"type": "text", "value": QUESTION}]
    assert model.generate(message, dataset="bench") == "JX7"
