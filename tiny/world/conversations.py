"""Packs several questions about an image into one sequence. A question sees the image and itself, not the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from uhd_edge.tiny.world.labels import POSITIONS
from uhd_edge.tiny.world.questions import NO_CODE, Question
from uhd_edge.tiny.world.scenes import ALPHABET
from uhd_edge.tiny.world.tokenizer import TURN_END
from uhd_edge.tiny.world.views import View

IGNORED = -100
PADDING = (0, 0, IGNORED, -1, -2)  # id, position, label, kind, block
CODE_LEAD = "What is labelled "
# What follows the last word of a question's subject, by kind of question.
SUBJECT_ENDS = {"code": "?", "presence": "?", "extreme": "?", "count shapes": " are", "count colours": " objects"}
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
    token t, or `IGNORED`; `labelled` int64 [L] are the places of the others in the flattened
    `labels`. `kinds` int64 [B, T] is the index of the question whose answer is here, -1 outside of
    answers. `blocks` int64 [B, T] is the index of the question, -1 for the prefix, -2 for padding.
    `named` int64 [Q] are the places, in the flattened sequences, of the words that complete the name
    of an object whose code is asked for, and `codes` int64 [Q, 5] the classes of its characters.
    """

    ids: Tensor
    positions: Tensor
    labels: Tensor
    labelled: Tensor
    kinds: Tensor
    blocks: Tensor
    named: Tensor
    codes: Tensor

    @property
    def mask(self) -> Tensor:
        """Bool [B, 1, T, T], true where a token may attend."""
        return _mask(self.blocks)

    @property
    def wanted(self) -> Tensor:
        """The labels [L] at `labelled`."""
        return self.labels.flatten()[self.labelled]


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

    With `spell`, questions have labels before their answers begin. In "What is labelled K7Q?", from
    its second character on, the code has to be predicted as well: a model that can tell what
    follows K7 has found the object in the image. The object's colour and shape are the labels
    directly after the code. In the other questions but "Describe the scene.", the answer's words are
    the labels from the word on that completes the question's subject, such as "circle": there,
    what has to be found in the image is at hand, and need not be carried to the answer first.
    """
    laid = [_row(tokenizer, prefix, asked, spell=spell) for prefix, asked in zip(prefixes, questions, strict=True)]
    rows = [row for row, _ in laid]
    longest = -(-max(len(row[0]) for row in rows) // multiple) * multiple
    padded = [
        [line + [padding] * (longest - len(line)) for line, padding in zip(row, PADDING, strict=True)] for row in rows
    ]
    ids, positions, labels, kinds, blocks = torch.tensor(padded).unbind(1)  # [B, 5, T]
    codes = [(number * longest + place, code) for number, (_, named) in enumerate(laid) for place, code in named]
    return Packed(
        ids,
        positions,
        labels,
        (labels.flatten() != IGNORED).nonzero()[:, 0],
        kinds,
        blocks,
        named=torch.tensor([place for place, _ in codes], dtype=torch.int64),
        codes=torch.tensor([code for _, code in codes], dtype=torch.int64).reshape(-1, POSITIONS),
    )


def _row(
    tokenizer: Encodes, prefix: list[int], asked: list[Question], *, spell: bool
) -> tuple[list[list[int]], list[tuple[int, list[int]]]]:
    """Five lists of the same length, ids, positions, labels, kinds, and blocks; and the codes that are asked for.

    For each of these that is there: the place where its object is named, and the classes of its characters.
    """
    start, codes = len(prefix), []
    row = [list(prefix), list(range(start)), [IGNORED] * start, [-1] * start, [-1] * start]
    for number, question in enumerate(asked):
        before, after = question_ids(tokenizer, question.text), tokenizer.encode(question.answer + TURN_END)
        length, silent = len(before) + len(after), len(before) - 1
        labels = [IGNORED] * silent + after + [IGNORED]
        if spell and question.kind == "labelled":
            _spell(labels, before, len(tokenizer.encode(CODE_LEAD)), len(question.text), after)
        elif spell and question.kind in SUBJECT_ENDS:
            _foretell(labels, _subject_end(tokenizer, question), silent, question.kind, after)
        if question.kind == "code" and question.answer != NO_CODE:
            codes.append((len(row[0]) + _subject_end(tokenizer, question), _classes(question.answer)))
        row[0] += before + after
        row[1] += range(start, start + length)
        row[2] += labels
        row[3] += [-1] * silent + [number] * len(after) + [-1]
        row[4] += [number] * length
    return row, codes


def _subject_end(tokenizer: Encodes, question: Question) -> int:
    """The place, in the question, of the last token of its subject."""
    return len(tokenizer.encode(question.text.partition(SUBJECT_ENDS[question.kind])[0])) - 1


def _classes(code: str) -> list[int]:
    """The classes of a code's five characters: 1 + their indices in `ALPHABET`, 0 where there is none."""
    return [1 + ALPHABET.index(character) for character in code] + [0] * (POSITIONS - len(code))


def _spell(labels: list[int], ids: list[int], first: int, length: int, answer: list[int]) -> None:
    """Add the labels in a question: its code, which starts at `first`, then the object's colour and shape."""
    characters = length - len(CODE_LEAD) - 1  # without the question mark; each is one token
    labels[first : first + characters - 1] = ids[first + 1 : first + characters]
    labels[first + characters - 1 : first + characters + 1] = answer[1:3]  # a {colour} {shape}


def _foretell(labels: list[int], last: int, silent: int, kind: str, answer: list[int]) -> None:
    """Add the answer as labels from the subject's `last` token on, as far as the question goes."""
    words = answer[1:3] if kind == "extreme" else answer[:-1]  # the {colour} {shape}
    if len(words) == 1:
        words = words * 2  # yes, no and numbers: where the subject ends, and after it
    told = words[: silent - last]
    labels[last : last + len(told)] = told


def _mask(blocks: Tensor) -> Tensor:
    """[B, T] -> [B, 1, T, T]: a token sees earlier tokens of its block and of the prefix. Padding sees padding."""
    length = blocks.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=blocks.device).tril()
    same = blocks[:, :, None] == blocks[:, None, :]
    prefix = (blocks == -1)[:, None, :] & (blocks >= 0)[:, :, None]
    return ((same | prefix) & causal)[:, None]
