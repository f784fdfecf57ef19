"""Packs several questions about an image into one sequence. A question sees the image and itself, not the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from uhd_edge.tiny.world.questions import Question
from uhd_edge.tiny.world.views import View

IGNORED = -100
PADDING = (0, 0, IGNORED, -1, -2)  # id, position, label, kind, block
CODE_LEAD = "What is labelled "
IMAGE_TOKEN, LINE_BREAK = "<|image_pad|>", "\n"


class Encodes(Protocol):
    """The part of a tokenizer that is used here."""

    def encode(self, text: str) -> list[int]:
        """Text -> ids."""
        ...


@dataclass(frozen=True)
class Packed:
    """A batch of images with several questions each, padded at the end.

    `ids`, `positions` and `labels` are int64 [B, T]. `labels[b, t]` is the id that should follow
    token t, or `IGNORED`. `mask` bool [B, 1, T, T] is true where a token may attend. `kinds`
    int64 [B, T] is the index of the question whose answer is here, -1 outside of answers.
    """

    ids: Tensor
    positions: Tensor
    labels: Tensor
    mask: Tensor
    kinds: Tensor


def image_text(views: list[View], grid: tuple[int, int], side: int) -> str:
    """The prompt text of one image, as `MiniCPMV4_6Processor` writes it."""
    counts = [(view.rows // side) * (view.columns // side) for view in views]
    text = "<image_id>0</image_id><image>" + IMAGE_TOKEN * counts[0] + "</image>"
    rows, columns = grid
    slices = [f"<slice>{IMAGE_TOKEN * count}</slice>" for count in counts[1:]]
    return text + LINE_BREAK.join("".join(slices[row * columns : (row + 1) * columns]) for row in range(rows))


def prefix_ids(tokenizer: Encodes, views: list[View], grid: tuple[int, int], side: int) -> list[int]:
    """The token ids of the prompt up to the end of the image."""
    return tokenizer.encode("<|im_start|>user\n" + image_text(views, grid, side))


def question_ids(tokenizer: Encodes, question: str) -> list[int]:
    """The token ids from the question to the start of the answer."""
    return tokenizer.encode(question + "<|im_end|>\n<|im_start|>assistant\n")


def pack(
    tokenizer: Encodes,
    prefixes: list[list[int]],
    questions: list[list[Question]],
    *,
    multiple: int = 32,
    spell: bool = False,
) -> Packed:
    """Put the questions of each image behind its prefix.

    With `spell`, "What is labelled K7Q?" has more labels. From its second character on, the code
    in the question has to be predicted as well: a model that can tell what follows K7 has found
    the object in the image. The object's colour and shape are the labels directly after the
    code, before the answer has to name them.
    """
    rows = [_row(tokenizer, prefix, asked, spell=spell) for prefix, asked in zip(prefixes, questions, strict=True)]
    longest = -(-max(row.shape[1] for row in rows) // multiple) * multiple
    table = torch.tensor(PADDING)[:, None].repeat(len(rows), 1, longest)  # [B, 5, T]
    for index, row in enumerate(rows):
        table[index, :, : row.shape[1]] = row
    ids, positions, labels, kinds, blocks = table.unbind(1)
    return Packed(ids, positions, labels, _mask(blocks), kinds)


def _row(tokenizer: Encodes, prefix: list[int], asked: list[Question], *, spell: bool) -> Tensor:
    """int64 [5, length]: ids, positions, labels, kinds, and blocks (-1 for the prefix, then the question's index)."""
    start = len(prefix)
    nothing = [IGNORED] * start
    parts = [torch.tensor([prefix, list(range(start)), nothing, [-1] * start, [-1] * start])]
    for number, question in enumerate(asked):
        before, after = question_ids(tokenizer, question.text), tokenizer.encode(question.answer + "<|im_end|>")
        length = len(before) + len(after)
        part = torch.tensor(PADDING)[:, None].repeat(1, length)
        part[0] = torch.tensor(before + after)
        part[1] = torch.arange(start, start + length)
        part[2, len(before) - 1 : -1] = torch.tensor(after)
        part[3, len(before) - 1 : -1] = number
        part[4] = number
        if spell and question.kind == "labelled":
            _spell(part[2], part[0], len(tokenizer.encode(CODE_LEAD)), len(question.text), after)
        parts.append(part)
    return torch.cat(parts, dim=1)


def _spell(labels: Tensor, ids: Tensor, first: int, length: int, answer: list[int]) -> None:
    """Add the labels in a question: its code, which starts at `first`, then the object's colour and shape."""
    characters = length - len(CODE_LEAD) - 1  # without the question mark; each is one token
    labels[first : first + characters - 1] = ids[first + 1 : first + characters]
    labels[first + characters - 1 : first + characters + 1] = torch.tensor(answer[1:3])  # a {colour} {shape}


def _mask(blocks: Tensor) -> Tensor:
    """[B, T] -> [B, 1, T, T]: a token sees earlier tokens of its block and of the prefix. Padding sees padding."""
    length = blocks.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    same = blocks[:, :, None] == blocks[:, None, :]
    prefix = (blocks == -1)[:, None, :] & (blocks >= 0)[:, :, None]
    return ((same | prefix) & causal)[:, None]
