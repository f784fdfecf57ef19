"""MiniCPM-V 4.7: prompts, positions, embeddings and greedy answers are those of transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from parity.conversations import generate_greedily, messages, our_ids, picture, require_greedy
from parity.sides import ASKED, EXACT_TIE, NO, ONE, QUESTION, THREE, TOKENS, Sides
from support.checkpoints import TinyCheckpoint, save_checkpoint

from uhd_edge.export.export import export_bundle
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.sampling import Sampling
from uhd_edge.runtime.prompt.layout import fill_slots
from uhd_edge.runtime.prompt.messages import ImagePart, Message, TextPart
from uhd_edge.runtime.prompt.room import PromptInputs
from uhd_edge.runtime.vision.encoder import VisionEncoder
from uhd_edge.runtime.vision.slicing import plan_views

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.runtime.modes import Mode

CASES = [(NO, 9), (ONE, 1), (ONE, 9), (THREE, 1), (THREE, 4)]


@pytest.fixture(scope="module", params=["hybrid", "dense"])
def sides(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    if request.param == "hybrid":
        both = Sides(request.getfixturevalue("canvas_checkpoint"), request.getfixturevalue("canvas_bundle"))
    else:
        folder = tmp_path_factory.mktemp("canvas")
        # As with the hybrid one, no answer of this seed ends early.
        tiny = TinyCheckpoint("qwen3_5_text", version="4_7", seed=14, attention="all", tied=False)
        save_checkpoint(folder / "checkpoint", tiny)
        both = Sides(
            folder / "checkpoint",
            export_bundle(folder / "checkpoint", folder / "bundle", llm_type="f32", precisions=["fp32"]),
        )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for matrices as small as these more are slower
    with both.assistant, both.exact:
        yield both
    torch.set_num_threads(threads)


@pytest.mark.parametrize("mode", ["16x", "4x"])
@pytest.mark.parametrize(("images", "max_slices"), CASES)
def test_prompts_and_positions_are_those_of_transformers(
    sides: Sides, images: list[Any], max_slices: int, mode: Mode
) -> None:
    turns: Any = [("user", [*images, QUESTION])]
    if images:
        turns += [("assistant", ["JX7."]), ("user", [images[0], "And here?\n"])]
    inputs = sides.reference.inputs(turns, mode, max_slices)
    with LanguageModel(sides.bundle.llm_path, context=1500, threads=1) as model:
        ids = our_ids(sides.bundle, model.vocabulary, turns, mode, max_slices)
        assert ids == inputs["input_ids"][0].tolist()
        shown = [part for _, parts in turns for part in parts if not isinstance(part, str)]
        preprocessing = sides.bundle.manifest.preprocessing
        plans = [plan_views(*image.size, preprocessing, mode=mode, max_slices=max_slices) for image in shown]
        laid_out = PromptInputs(messages(turns), sides.bundle.manifest, plans, [None] * len(plans))
        positions = laid_out.lay_out(model.vocabulary).positions
    expected, _ = sides.model.model.get_rope_index(
        inputs["input_ids"],
        mm_token_type_ids=inputs["mm_token_type_ids"],
        target_sizes=inputs.get("target_sizes"),
        downsample_mode=mode,
    )
    assert positions is not None
    assert positions.tolist() == expected[:, 0].tolist()


def test_embeddings_are_those_of_transformers(sides: Sides) -> None:
    image = ONE[0]
    for mode in sides.bundle.manifest.graphs:
        inputs = sides.reference.inputs([("user", [image, QUESTION])], mode, 9)
        with torch.inference_mode():
            features = sides.model.model.get_image_features(
                inputs["pixel_values"], inputs["target_sizes"], downsample_mode=mode
            ).pooler_output
        expected = torch.cat(list(features)).numpy()
        with VisionEncoder(sides.bundle, threads=1) as encoder:
            found = encoder.encode(image, mode=mode, max_slices=9).embeddings
        assert np.abs(found - expected).max() < 1e-4 * expected.std()


@pytest.mark.parametrize("mode", ["16x", "4x"])
@pytest.mark.parametrize(("images", "max_slices"), ASKED.values(), ids=ASKED)
def test_greedy_answers_of_two_turns_are_those_of_transformers(
    sides: Sides, images: list[Any], max_slices: int, mode: Mode
) -> None:
    sides.require_two_turns(images, max_slices, mode, think_tokens=TOKENS)  # thoughts begin an answer


@pytest.mark.parametrize("max_slices", [1, 4])
def test_a_video_beside_an_image_is_laid_out_and_answered_as_by_transformers(sides: Sides, max_slices: int) -> None:
    """Its own code writes the frames. Their pixels are made by its code for images: the other needs torchvision."""
    processor, image = sides.reference.processor, picture(9, 153, 174)
    frames = [picture(number, 200, 130) for number in (5, 6, 7)]
    clip, still = (
        processor.image_processor(shown, max_slice_nums=max_slices, downsample_mode="16x", return_tensors="pt")
        for shown in (frames, [image])
    )
    told = {
        "target_sizes_videos": clip["target_sizes"],
        "grids_videos": np.array(clip["grids"]),
        "num_frames_per_video": [3],
    }
    written = processor.replace_video_token(told, video_idx=0, video_token_divisor=16)
    shown = processor.replace_image_token(still, image_idx=0, image_token_divisor=16)
    # This checkpoint's template knows no videos; that of the real one writes a placeholder for each, as for an image.
    asked = [{"role": "user", "content": [{"type": "image"}, {"type": "image"}, {"type": "text", "text": QUESTION}]}]
    before, between, behind = processor.apply_chat_template(asked, add_generation_prompt=True, tokenize=False).split(
        "<|image_pad|>"
    )
    text = f"{before}{written}{between}<image_id>0</image_id>{shown}{behind}"
    ids = processor.tokenizer(text, return_tensors="pt")["input_ids"]
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": torch.tensor(processor.create_mm_token_type_ids(ids.tolist())),
        "pixel_values": still["pixel_values"],
        "target_sizes": still["target_sizes"],
        "pixel_values_videos": clip["pixel_values"],
        "target_sizes_videos": clip["target_sizes"],
    }
    expected, _ = sides.model.model.get_rope_index(
        **{name: inputs[name] for name in ("input_ids", "mm_token_type_ids", "target_sizes", "target_sizes_videos")}
    )
    manifest = sides.bundle.manifest
    plans = [
        plan_views(*one.size, manifest.preprocessing, mode="16x", max_slices=max_slices) for one in (*frames, image)
    ]
    message = Message("user", (*[ImagePart()] * 4, TextPart(QUESTION)))
    with (
        LanguageModel(sides.bundle.llm_path, threads=1, exact=True) as model,
        VisionEncoder(sides.bundle, threads=1) as encoder,
    ):
        layout = PromptInputs([message], manifest, plans, [1, 1, 1, None]).lay_out(model.vocabulary)
        assert layout.positions is not None
        assert layout.positions.tolist() == expected[:, 0].tolist()
        assert [token for part in layout.parts if isinstance(part, list) for token in part] == [
            token for token in ids[0].tolist() if token not in (processor.image_token_id, processor.video_token_id)
        ]
        embeddings = [encoder.encode(one, mode="16x", max_slices=max_slices).embeddings for one in (*frames, image)]
        model.prefill(fill_slots(layout, embeddings), layout.positions)
        found = list(model.generate(Sampling(), max_tokens=TOKENS))
    require_greedy(found, *generate_greedily(sides.model, inputs, "16x", TOKENS), tie=EXACT_TIE)
