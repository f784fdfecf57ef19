"""The built-in model: transformers gives the same answers from its checkpoint, and most of them are right."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.checkpoints import load_model, load_processor
from support.places import ROOT

from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.tiny.measuring.measured import Measured, measured_set

CHECKPOINT = ROOT / "tiny" / "checkpoint"
MEGABYTE = 1_000_000


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@pytest.fixture(scope="module")
def entries() -> list[Measured]:
    easier = [*measured_set("single", 20), *measured_set("sliced", 20)]
    return [*easier, *measured_set("hard single", 10), *measured_set("hard sliced", 10)]


@pytest.fixture(scope="module")
def answers(entries: list[Measured]) -> list[str]:
    with Assistant() as assistant:
        return [assistant.ask(entry.picture, entry.question.text, max_tokens=16).text for entry in entries]


def test_transformers_gives_the_same_answers(entries: list[Measured], answers: list[str]) -> None:
    model, processor = load_model(CHECKPOINT), load_processor(CHECKPOINT)
    theirs = []
    for entry in entries:
        turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": entry.question.text}]}
        text = processor.apply_chat_template([turn], add_generation_prompt=True)
        inputs = processor(images=[entry.picture], text=[text], return_tensors="pt")
        with torch.inference_mode():
            tokens = model.generate(**inputs, max_new_tokens=16, do_sample=False)
        theirs.append(processor.post_process_image_text_to_text(tokens[:, inputs["input_ids"].shape[1] :])[0])
    assert answers == theirs


def test_three_answers_in_four_are_right(entries: list[Measured], answers: list[str]) -> None:
    right = [answer == entry.question.answer for entry, answer in zip(entries, answers, strict=True)]
    assert sum(right) >= 45  # of 60


def test_the_bundle_and_the_checkpoint_are_as_small_as_promised() -> None:
    bundle = size_of(Bundle.open().path)
    assert bundle <= 32 * MEGABYTE
    assert bundle + size_of(CHECKPOINT) <= 48 * MEGABYTE


def test_the_files_of_the_built_in_bundle_are_those_that_were_exported() -> None:
    Bundle.open().check_files()
