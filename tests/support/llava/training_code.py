"""What LLaVA-UHD v4's own code computes with a checkpoint that it has stored.

Written after github.com/THUMAI-Lab/LLaVA-UHD-v4 (`train/`, and `MiniCPM_4_V` of `vlmevalkit/`): tokens
stay row by row, windows are masks, and every tensor is read by its stored name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from support.llava.stored import FILE, HEADS, INSERT, LAYERS, PATCH, TABLE
from torch import Tensor
from torch.nn import functional
from transformers import MiniCPMV4_6ImageProcessorPil, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

if TYPE_CHECKING:
    from PIL import Image

    from uhd_edge.runtime.modes import Mode

    Turns = list[tuple[str, list[str | Image.Image]]]


@dataclass(frozen=True)
class Prepared:
    """The views of an image: pixels [3, H, W] of each, and (rows, columns) of the slices."""

    views: list[Tensor]
    grid: tuple[int, int] | None


class TrainingCode:
    """Vision tower, connector, prompts and greedy answers."""

    def __init__(self, folder: Path) -> None:
        self.tensors = load_file(folder / FILE)
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        self.compressed = "vit_merger.linear_1.weight" in self.tensors
        settings = json.loads((folder / "preprocessor_config.json").read_text())
        self.scale = settings["scale_resolution"]
        self.processor = MiniCPMV4_6ImageProcessorPil(scale_resolution=self.scale)
        stored = {name.removeprefix("llm."): tensor for name, tensor in self.tensors.items() if name.startswith("llm.")}
        config = json.loads((folder / "config.json").read_text())
        self.llm = Qwen3ForCausalLM(Qwen3Config(**{**config, "model_type": "qwen3"})).eval()
        self.llm.load_state_dict(stored)

    def __repr__(self) -> str:
        return "the training code"

    def prepare(self, image: Image.Image, mode: Mode, max_slices: int) -> Prepared:
        """Cut as `slice_image_new` does, which the image processor of MiniCPM-V 4.6 has kept."""
        made = self.processor(image, max_slice_nums=max_slices, downsample_mode=mode, return_tensors="pt")
        grid = self.processor.get_sliced_grid((image.height, image.width), max_slices, self.scale)
        views, start = [], 0
        for rows, columns in made["target_sizes"].tolist():
            stop = start + rows * columns * PATCH
            strip = made["pixel_values"][0, :, :, start:stop]  # [3, p, N * p]: the patches side by side
            views.append(
                strip.reshape(3, PATCH, rows, columns, PATCH).permute(0, 2, 1, 3, 4).reshape(3, rows * PATCH, -1)
            )
            start = stop
        return Prepared(views, tuple(grid) if grid else None)

    def embed(self, pixels: Tensor, mode: Mode) -> Tensor:
        """[3, H, W] -> [tokens, d_llm]."""
        rows, columns = pixels.shape[1] // PATCH, pixels.shape[2] // PATCH
        place = "vpm.embeddings"
        weight, bias = self.tensors[f"{place}.patch_embedding.weight"], self.tensors[f"{place}.patch_embedding.bias"]
        hidden = functional.conv2d(pixels[None], weight, bias, stride=PATCH)[0].flatten(1).T
        ids = buckets(rows)[:, None] * TABLE + buckets(columns)
        hidden = hidden + self.tensors[f"{place}.position_embedding.weight"][ids.flatten()]
        for index in range(LAYERS):
            layer = f"vpm.encoder.layers.{index}"
            hidden = hidden + self.attend(layer, self.norm(f"{layer}.layer_norm1", hidden))
            inner = functional.gelu(
                self.linear(f"{layer}.mlp.fc1", self.norm(f"{layer}.layer_norm2", hidden)), approximate="tanh"
            )
            hidden = hidden + self.linear(f"{layer}.mlp.fc2", inner)
            if self.compressed and mode == "16x" and index == INSERT:
                hidden = self.compress(hidden, rows, columns)
                rows, columns = rows // 2, columns // 2
        hidden = self.norm("vpm.post_layernorm", hidden)
        for index in range(1 if self.compressed else 2):
            place = f"resampler.mlp.{index}"
            merged = self.norm(f"{place}.pre_norm", side_by_side(hidden, rows, columns))
            hidden = self.linear(f"{place}.mlp.2", functional.gelu(self.linear(f"{place}.mlp.0", merged)))
            rows, columns = rows // 2, columns // 2
        return hidden

    def compress(self, hidden: Tensor, rows: int, columns: int) -> Tensor:
        """[N, d] -> [N / 4, d]."""
        number = (torch.arange(rows)[:, None] // 2) * columns + torch.arange(columns) // 2
        apart = number.flatten()[:, None] != number.flatten()
        hidden = hidden + self.attend("vit_merger", self.norm("vit_merger.layer_norm1", hidden), apart)
        merged = side_by_side(hidden, rows, columns)
        inner = self.linear("vit_merger.linear_1", self.norm("vit_merger.pre_norm", merged))
        mean = merged.reshape(len(merged), 4, -1).mean(dim=1)
        return self.linear("vit_merger.linear_2", functional.gelu(inner, approximate="tanh")) + mean

    def attend(self, place: str, hidden: Tensor, apart: Tensor | None = None) -> Tensor:
        """[N, d] -> [N, d]; `apart` [N, N] is true for tokens that do not see each other."""
        queries, keys, values = (
            self.linear(f"{place}.self_attn.{name}_proj", hidden).reshape(len(hidden), HEADS, -1).transpose(0, 1)
            for name in "qkv"
        )
        scores = queries @ keys.transpose(1, 2) * queries.shape[-1] ** -0.5
        if apart is not None:
            scores = scores.masked_fill(apart, float("-inf"))
        mixed = (scores.softmax(dim=-1) @ values).transpose(0, 1).reshape(len(hidden), -1)
        return self.linear(f"{place}.self_attn.out_proj", mixed)

    def linear(self, name: str, hidden: Tensor) -> Tensor:
        return functional.linear(hidden, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])

    def norm(self, name: str, hidden: Tensor) -> Tensor:
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        return functional.layer_norm(hidden, weight.shape, weight, bias, eps=1e-6)

    def ids(self, turns: Turns, mode: Mode, max_slices: int) -> list[int]:
        """Token ids of a conversation as `chat` writes it: a message's parts, joined by newlines."""
        images = 0
        conversation = []
        for role, parts in turns:
            written = []
            for part in parts:
                written.append(part if isinstance(part, str) else self.place(part, images, mode, max_slices))
                images += not isinstance(part, str)
            conversation.append({"role": role, "content": "\n".join(written)})
        text = self.tokenizer.apply_chat_template(
            conversation, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def place(self, image: Image.Image, number: int, mode: Mode, max_slices: int) -> str:
        """Number, thumbnail and rows of slices, as `adapt_slice` and `get_slice_placeholder` write them."""
        prepared = self.prepare(image, mode, max_slices)
        side = PATCH * (4 if mode == "16x" else 2)
        unknown = ["<unk>" * ((view.shape[1] // side) * (view.shape[2] // side)) for view in prepared.views]
        slices = [f"<slice>{tokens}</slice>" for tokens in unknown[1:]]
        columns = prepared.grid[1] if prepared.grid else 1
        rows = ["".join(slices[start : start + columns]) for start in range(0, len(slices), columns)]
        return f"<image_id>{number}</image_id><image>{unknown[0]}</image>" + "\n".join(rows)

    def generate(self, turns: Turns, mode: Mode, max_slices: int, count: int) -> tuple[list[int], list[float]]:
        """The greedy answer, and by how much each of its tokens was ahead of the second best."""
        ids = torch.tensor(self.ids(turns, mode, max_slices))
        shown = [part for _, parts in turns for part in parts if not isinstance(part, str)]
        views = [view for image in shown for view in self.prepare(image, mode, max_slices).views]
        with torch.inference_mode():
            embeddings = self.llm.get_input_embeddings()(ids).clone()
            if views:
                place = ids == self.tokenizer.convert_tokens_to_ids("<unk>")
                embeddings[place] = torch.cat([self.embed(view, mode) for view in views])
            made: Any = self.llm.generate(
                inputs_embeds=embeddings[None],
                attention_mask=torch.ones(1, len(ids)),
                max_new_tokens=count,
                do_sample=False,
                eos_token_id=self.ends,
                pad_token_id=self.ends[1],
                return_dict_in_generate=True,
                output_scores=True,
            )
        best = [torch.topk(scores[0], 2).values for scores in made.scores]
        return made.sequences[0].tolist(), [float(first - second) for first, second in best]

    @property
    def ends(self) -> list[int]:
        """The tokens that end an answer."""
        return [self.tokenizer.convert_tokens_to_ids(text) for text in ("<|im_end|>", "<|endoftext|>")]

    def text(self, tokens: list[int]) -> str:
        """The answer that `chat` gives: without space around it."""
        return self.tokenizer.decode(tokens, skip_special_tokens=True).strip()


def buckets(count: int) -> Tensor:
    """Rows, or columns, of the position table for `count` patches."""
    steps = torch.arange(0, 1 - 1e-6, 1 / torch.tensor(count, dtype=torch.int32))
    return torch.bucketize(steps, torch.arange(1 / TABLE, 1.0, 1 / TABLE), right=True)


def side_by_side(hidden: Tensor, rows: int, columns: int) -> Tensor:
    """[rows * columns, d] -> [rows * columns / 4, 4 d]: the tokens of each 2x2 square."""
    return hidden.reshape(rows // 2, 2, columns // 2, 2, -1).transpose(1, 2).reshape(rows * columns // 4, -1)
