"""What is asked for is found by its name, its page or its folder, or refused before anything is downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.export.outcome import one_line
from support.pulling.local_hub import LANGUAGE_MODEL, MODEL

from uhd_edge.export.pulling.choosing import wanted_model
from uhd_edge.export.pulling.pull import pull_model
from uhd_edge.runtime.errors import UhdError

if TYPE_CHECKING:
    from pathlib import Path

    from support.pulling.local_hub import LocalHub


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("llava-uhd-v4-8m", {}, "PhoenixGS/LLaVA-UHD-v4-8M: no such public repository on http://127.0.0.1"),
        (
            "minicpm",
            {},
            "minicpm: neither a known model (minicpm-v-4.6, minicpm-v-4.6-thinking, minicpm-v-4.7-1b, llava",
        ),
        ("", {}, "the model's name is empty; give a known one (minicpm-v-4.6, minicpm-v-4.6-thinking"),
        (MODEL, {"name": "../mine"}, "'../mine' is not a name for a model: use letters,"),
        (MODEL, {"name": "uhd-tiny"}, "uhd-tiny is the built-in model; choose another name"),
        (MODEL, {"llm": "nowhere.gguf"}, "nowhere.gguf: no such file"),
        (MODEL, {"llm_type": "q5"}, "no language model type 'q5'; valid are f32"),
        (MODEL, {"llm_type": "q8_0"}, f"{LANGUAGE_MODEL}: no language model of type q8_0; valid are q4_k_m"),
        (MODEL, {"revision": ""}, "--revision is empty; name a branch, tag or commit, or leave it out for main"),
        (MODEL, {"revision": " "}, "--revision is empty; name a branch, tag or commit, or leave it out for main"),
        (MODEL, {"revision": "v2"}, f"{MODEL} at v2: not there on http://127.0.0.1"),
        ("somebody/nothing", {}, "somebody/nothing: no such public repository on http://127.0.0.1"),
        (LANGUAGE_MODEL, {}, f"{LANGUAGE_MODEL}: no checkpoint, there are no safetensors in it"),
    ],
    ids=str,
)
def test_what_cannot_be_pulled_is_said_before_anything_is_downloaded(
    hub: LocalHub, models: Path, model: str, options: dict[str, str], said: str
) -> None:
    with pytest.raises(UhdError) as caught:
        pull_model(model, **options)  # type: ignore[arg-type]
    assert said in one_line(caught)
    assert hub.downloaded() == []
    assert not models.exists()


def test_a_folder_has_no_revision(hub: LocalHub, models: Path, tmp_path: Path) -> None:
    with pytest.raises(UhdError) as caught:
        pull_model(str(tmp_path), revision="main")
    assert one_line(caught) == f"--revision is for repositories on the Hub, and {tmp_path} is a folder; leave it out"
    assert hub.asked == []


@pytest.mark.parametrize(
    "options",
    [{"llm_type": "q5"}, {"llm": "nowhere.gguf"}, {"name": "x/y"}, {"revision": ""}],
    ids=lambda options: next(iter(options)),
)
def test_a_wrong_option_is_refused_before_the_hub_is_asked(hub: LocalHub, options: dict[str, str]) -> None:
    with pytest.raises(UhdError):
        pull_model(MODEL, **options)  # type: ignore[arg-type]
    assert hub.asked == []


@pytest.mark.parametrize(
    ("written", "checkpoint", "name"),
    [
        ("https://huggingface.co/openbmb/MiniCPM-V-4.6", "openbmb/MiniCPM-V-4.6", "minicpm-v-4.6"),
        ("https://hf.co/Somebody/Tiny-V/tree/main", "Somebody/Tiny-V", "tiny-v"),
        ("https://huggingface.co/Somebody/Tiny-V?library=transformers", "Somebody/Tiny-V", "tiny-v"),
        ("https://hf.co/Somebody/Tiny-V/#usage", "Somebody/Tiny-V", "tiny-v"),
        ("Somebody/Tiny-V/", "Somebody/Tiny-V", "tiny-v"),
        ("MiniCPM-V-4.6/", "openbmb/MiniCPM-V-4.6", "minicpm-v-4.6"),
        ("openbmb/MiniCPM-V-4.6-gguf", "openbmb/MiniCPM-V-4.6", "minicpm-v-4.6"),
    ],
)
def test_a_repository_is_found_by_its_page_too(written: str, checkpoint: str, name: str) -> None:
    wanted = wanted_model(written)
    assert (wanted.checkpoint, wanted.name) == (checkpoint, name)


@pytest.mark.parametrize(
    "address",
    [
        "https://huggingface.co/openbmb/MiniCPM-V-4.6/tree/v2",
        "https://elsewhere.org/a/b",
        "https://hf.co/datasets/squad",
        "/",
    ],
)
def test_other_addresses_are_not_guessed_at(address: str, models: Path) -> None:
    with pytest.raises(UhdError) as caught:
        pull_model(address)
    assert address in one_line(caught) or "choose one with --name" in one_line(caught)
