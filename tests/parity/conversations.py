"""One conversation for both sides: transformers' processor and ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from support.checkpoints import load_processor

from uhd_edge.runtime.prompt.layout import ImageSlot
from uhd_edge.runtime.prompt.messages import ImagePart, Message, TextPart
from uhd_edge.runtime.prompt.room import PromptInputs
from uhd_edge.runtime.vision.slicing import plan_views

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.llm.vocabulary import Vocabulary
    from uhd_edge.runtime.modes import Mode


def picture(seed: int, width: int, height: int) -> Image.Image:
    """A smooth random picture, so that resizing keeps what is in it."""
    colours = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((width, height), Image.Resampling.BICUBIC)


class Reference:
    """transformers' processor of a checkpoint."""

    def __init__(self, checkpoint: Path) -> None:
        self.processor = load_processor(checkpoint)

    def __repr__(self) -> str:
        return "transformers' processor"

    def inputs(
        self, turns: list[tuple[str, list[str | Image.Image]]], mode: Mode = "16x", max_slices: int | None = None
    ) -> Any:
        """What transformers' model gets for `turns` of (role, texts and images)."""
        options = {"downsample_mode": mode} | ({} if max_slices is None else {"max_slice_nums": max_slices})
        return self.processor.apply_chat_template(
            [{"role": role, "content": [content(part) for part in parts]} for role, parts in turns],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs=options if any(not isinstance(part, str) for _, parts in turns for part in parts) else {},
        )

    def ids(self, *arguments: Any, **options: Any) -> list[int]:
        """Token ids of the prompt, one image placeholder for each embedding."""
        return self.inputs(*arguments, **options)["input_ids"][0].tolist()


def content(part: str | Image.Image) -> dict[str, Any]:
    return {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part}


def messages(turns: list[tuple[str, list[str | Image.Image]]]) -> list[Message]:
    """The same turns as our messages."""
    return [
        Message(role, tuple(TextPart(part) if isinstance(part, str) else ImagePart() for part in parts))
        for role, parts in turns
    ]


def our_ids(
    bundle: Bundle,
    vocabulary: Vocabulary,
    turns: list[tuple[str, list[str | Image.Image]]],
    mode: Mode = "16x",
    max_slices: int | None = None,
) -> list[int]:
    """Token ids of our prompt, one image placeholder for each embedding."""
    sizes = [part.size for _, parts in turns for part in parts if not isinstance(part, str)]
    preprocessing = bundle.manifest.preprocessing
    plans = [plan_views(*size, preprocessing, mode=mode, max_slices=max_slices) for size in sizes]
    inputs = PromptInputs(messages(turns), bundle.manifest, plans, [None] * len(plans))
    (placeholder,) = vocabulary.tokenize(bundle.manifest.prompt.tokens.image)
    ids: list[int] = []
    for part in inputs.lay_out(vocabulary).parts:
        ids += [placeholder] * part.tokens if isinstance(part, ImageSlot) else part
    return ids


def require_greedy(found: list[int], tokens: list[int], ahead: list[float], *, tie: float) -> None:
    """Require the reference's greedy `tokens`, up to where two are a tie.

    `ahead` says by how much each was ahead of the second best. Where that is less than `tie`, rounding decides, and
    what follows is another text.
    """
    first = next((step for step, pair in enumerate(zip(found, tokens, strict=False)) if pair[0] != pair[1]), None)
    if first is None:
        assert len(found) >= len(tokens)
    else:
        assert ahead[first] < tie, f"token {first} is {found[first]} instead of {tokens[first]}"


def generate_greedily(model: Any, inputs: Any, mode: Mode, count: int, **options: Any) -> tuple[list[int], list[float]]:
    """transformers' answer of at most `count` tokens, and by how much each was ahead of the second best."""
    with torch.inference_mode():
        out = model.generate(
            **inputs,
            downsample_mode=mode,
            max_new_tokens=count,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
            **options,
        )
    best = [torch.topk(scores[0], 2).values for scores in out.scores]
    tokens = out.sequences[0, inputs["input_ids"].shape[1] :].tolist()
    return tokens, [float(first - second) for first, second in best]
