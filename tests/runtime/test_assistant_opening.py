"""Making an assistant and closing it: what may name a bundle, and what does not fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.answering_bundle import bundle_of, save
from support.tiny_gguf import HIDDEN, tokens

from uhd_edge.runtime import Assistant, Bundle
from uhd_edge.runtime.errors import (
    BundleError,
    EngineError,
    ModelError,
    OptionError,
)
from uhd_edge.runtime.vision.encoder import VisionEncoder

if TYPE_CHECKING:
    from pathlib import Path

QUESTION = "What is it?"


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
    with pytest.raises(OptionError, match=rf"^{name} is .*; it must be "):
        Assistant(bundle, **setting)


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
