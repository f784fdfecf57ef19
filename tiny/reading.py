"""Step 1, one half: the language model learns to answer from symbolic image tokens."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedTokenizerFast, Qwen3Model

from uhd_edge.tiny.checkpoint import text_config
from uhd_edge.tiny.conversations import IGNORED, Encodes, Packed, pack, prefix_ids
from uhd_edge.tiny.labels import Slot, slots_of
from uhd_edge.tiny.questions import Question, ask
from uhd_edge.tiny.scenes import ALPHABET, CODE_LENGTHS, Scene, World, draw_scene
from uhd_edge.tiny.symbols import SPREAD, SlotBatch, Symbols, slot_batch
from uhd_edge.tiny.views import PATCH, View, views_of

ASKED = ("code", "code", "labelled", "labelled", "count shapes", "count colours", "presence", "extreme", "describe")
READABLE = 13.0  # the smallest font whose glyphs a view shows, in view pixels
MISREAD = 0.02  # share of the symbolic characters that are wrong
BLUR = 0.15  # noise on a token, relative to its root mean square


@dataclass(frozen=True)
class ReadBatch:
    """Images as slots, with packed questions; `image_mask` [B, T] is true at image tokens."""

    packed: Packed
    slots: SlotBatch
    image_tokens: int
    image_mask: Tensor
    questions: list[list[Question]]


class Reader(nn.Module):
    """The language model and the symbols it learns from."""

    def __init__(self, seed: int, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        torch.manual_seed(seed)
        config = text_config()
        config.initializer_range = 0.05
        self.text = Qwen3Model(config)
        nn.init.normal_(self.text.embed_tokens.weight, std=SPREAD)
        self.symbols = Symbols(config.hidden_size)
        spelled = [tokenizer.encode(character)[0] for character in ALPHABET]
        with torch.no_grad():
            self.symbols.alphabet[1:] = self.text.embed_tokens.weight[spelled]

    def logits(self, packed: Packed, image: Tensor, image_mask: Tensor) -> Tensor:
        """Logits [L, vocabulary] at the labelled places, from image embeddings [image tokens, width]."""
        embeddings = self.text.embed_tokens(packed.ids)
        embeddings = embeddings.masked_scatter(image_mask.unsqueeze(-1), image.to(embeddings.dtype))
        hidden = self.text(
            inputs_embeds=embeddings,
            attention_mask={"full_attention": packed.mask},
            position_ids=packed.positions,
            use_cache=False,
        ).last_hidden_state
        wanted = hidden[packed.labels != IGNORED]
        return functional.linear(wanted, self.text.embed_tokens.weight)


def read_batch(
    tokenizer: Encodes, seed: str, count: int, world: World, *, compress: bool, asked: tuple[str, ...] = ASKED
) -> ReadBatch:
    """Scenes by seed as symbolic tokens, with questions."""
    scenes = [draw_scene(f"{seed}/{index}", world) for index in range(count)]
    dice = random.Random(seed)
    side = 4 if compress else 2
    shown: list[tuple[list[Slot], View]] = []
    prefixes = []
    for scene in scenes:
        views, grid = views_of(scene.width, scene.height, compress=compress)
        shown += [([_misread(slot, dice) for slot in readable_slots(scene, view)], view) for view in views]
        prefixes.append(prefix_ids(tokenizer, views, grid, side))
    questions = [[ask(scene, kind, f"{seed}/{n}/{i}") for n, kind in enumerate(asked)] for i, scene in enumerate(scenes)]
    packed = pack(tokenizer, prefixes, questions)
    image_mask = packed.ids == tokenizer.encode("<|image_pad|>")[0]
    return ReadBatch(packed, slot_batch(shown, side), int(image_mask.sum()), image_mask, questions)


def readable_slots(scene: Scene, view: View) -> list[Slot]:
    """The slots of a view, without the codes that are too small to be read in it."""
    scale = view.rows * PATCH / view.height
    small = {drawn.code for drawn in scene.objects if drawn.size * scale < READABLE}
    if len(small) == len(scene.objects):
        return [replace(slot, code="", cut_left=False, cut_right=False) for slot in slots_of(scene, view)]
    return slots_of(scene, view)


def _misread(slot: Slot, dice: random.Random) -> Slot:
    code = "".join(dice.choice(ALPHABET) if dice.random() < MISREAD else character for character in slot.code)
    return replace(slot, code=code[: CODE_LENGTHS[1]])


def blurred(tokens: Tensor) -> Tensor:
    """Tokens with noise as the tower's will have."""
    scale = tokens.detach().square().mean().sqrt()
    return tokens + BLUR * scale * torch.randn_like(tokens)


@torch.no_grad()
def answer_scores(logits: Tensor, packed: Packed, questions: list[list[Question]]) -> dict[str, list[bool]]:
    """By kind, whether every token of each answer is the likeliest one (what greedy decoding needs)."""
    places = packed.labels != IGNORED
    right = torch.ones_like(places)
    right[places] = logits.argmax(-1) == packed.labels[places]
    scores: dict[str, list[bool]] = {}
    for row, asked in enumerate(questions):
        for number, question in enumerate(asked):
            exact = bool(right[row][packed.kinds[row] == number].all())
            scores.setdefault(question.kind, []).append(exact)
    return scores
