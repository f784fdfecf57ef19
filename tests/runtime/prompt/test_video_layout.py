"""Videos in a prompt: laid out as by transformers, beside images and each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from support.checkpoints import load_processor

from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.prompt.layout import ImageSlot
from uhd_edge.runtime.prompt.messages import ImagePart, Message, TextPart
from uhd_edge.runtime.prompt.room import PromptInputs
from uhd_edge.runtime.vision.slicing import plan_views

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.bundle import Bundle


class FramesAlone:
    """What transformers' video processor tells the processor of a video: here each frame is one view."""

    slice_mode = True
    downsample_mode = "16x"

    def __init__(self, images: Any) -> None:
        self._images = images

    def __call__(self, videos: Any, **_: Any) -> dict[str, Any]:
        told = self._images(videos[0], max_slice_nums=1, downsample_mode="16x", return_tensors="pt")
        return {
            "target_sizes_videos": told["target_sizes"],
            "grids_videos": np.array(told["grids"]),
            "num_frames_per_video": [len(videos[0])],
        }


@pytest.mark.parametrize("count", [1, 4])
def test_token_ids_are_those_of_transformers_processor(
    qwen3_checkpoint: Path, qwen3_bundle: Bundle, count: int
) -> None:
    """Laid out by its own code, as its card calls it: without ids, a placeholder for each video."""
    processor = load_processor(qwen3_checkpoint)
    frames = [Image.new("RGB", (320, 180), (10 * number, 9, 9)) for number in range(count)]
    layout = FramesAlone(processor.image_processor)(videos=[frames])
    replaced = processor.replace_video_token(layout, video_idx=0, video_token_divisor=16)
    # This checkpoint's template knows no videos; that of the real one writes a placeholder for each, as for an image.
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What moves?"}]}]
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert text.count("<|image_pad|>") == 1
    expected = processor.tokenizer(text.replace("<|image_pad|>", replaced))["input_ids"]

    asked = [Message("user", (*[ImagePart()] * count, TextPart("What moves?")))]
    plan = plan_views(320, 180, qwen3_bundle.manifest.preprocessing, mode="16x", max_slices=1)
    inputs = PromptInputs(asked, qwen3_bundle.manifest, [plan] * count, [5] * count)
    with LanguageModel(qwen3_bundle.llm_path, context=64, threads=1) as model:
        ids: list[int] = []
        for part in inputs.lay_out(model.vocabulary).parts:
            ids += [processor.video_token_id] * part.tokens if isinstance(part, ImageSlot) else part
    assert ids == expected


def test_an_image_beside_videos_keeps_its_own_number_and_two_videos_their_own_places(qwen3_bundle: Bundle) -> None:
    asked = [Message("user", (*[ImagePart()] * 6, TextPart("And?")))]
    videos = [None, 1, 1, 2, None, 3]
    plan = plan_views(64, 48, qwen3_bundle.manifest.preprocessing, mode="16x", max_slices=1)
    layout = PromptInputs(asked, qwen3_bundle.manifest, [plan] * 6, videos).write()
    text = "".join("*" if isinstance(part, ImageSlot) else part for part in layout)
    one = "<image>*</image>"
    assert f"<image_id>0</image_id>{one}{one}{one}{one}<image_id>1</image_id>{one}{one}And?" in text
    assert [part.image for part in layout if isinstance(part, ImageSlot)] == list(range(6))
