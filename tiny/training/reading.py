"""Trains the language model to answer from symbolic image tokens."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedTokenizerFast, Qwen3Model

from uhd_edge.tiny.training.reader_start import start_attention, start_words
from uhd_edge.tiny.training.saved_model import text_config
from uhd_edge.tiny.world.conversations import Encodes, Packed, pack, prefix_ids
from uhd_edge.tiny.world.labels import Seen, see_all
from uhd_edge.tiny.world.questions import Question, ask
from uhd_edge.tiny.world.scenes import ALPHABET, World, draw_scene
from uhd_edge.tiny.world.symbols import SPREAD, Said, Symbols, said
from uhd_edge.tiny.world.views import VIEW_SIDE, View, plan_views

MISREAD = 0.02  # the share of characters in symbolic tokens that are replaced by random ones
BLUR = 0.15  # standard deviation of the noise on a token, relative to the tokens' root mean square


@dataclass(frozen=True)
class ReadBatch:
    """Images as symbolic tokens, with packed questions. `image_places` int64: see `find_images`."""

    packed: Packed
    words: Said
    image_places: Tensor
    questions: list[list[Question]]


class Reader(nn.Module):
    """The language model, and the symbolic tokens that it learns from."""

    def __init__(self, seed: int, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        torch.manual_seed(seed)
        config = text_config()
        config.initializer_range = 0.05
        self.text = Qwen3Model(config)
        nn.init.normal_(self.text.embed_tokens.weight, std=SPREAD)
        self.symbols = Symbols(config.hidden_size)
        start_words(self.symbols, self.text.embed_tokens.weight, tokenizer)
        start_attention(self.text, self.symbols.position)

    def logits(self, packed: Packed, image: Tensor, image_places: Tensor) -> Tensor:
        """Logits [L, vocabulary] at the labelled positions, from image embeddings [image tokens, width]."""
        return self.likely(self.read(packed, image, image_places)[packed.labelled])

    def likely(self, read: Tensor) -> Tensor:
        """What was read at some positions [L, width] -> logits [L, vocabulary] of the token that follows each."""
        return functional.linear(read, self.text.embed_tokens.weight)

    def read(self, packed: Packed, image: Tensor, image_places: Tensor) -> Tensor:
        """The language model's last features [B * T, width], from image embeddings [image tokens, width]."""
        embeddings = self.text.embed_tokens(packed.ids)
        flat = embeddings.flatten(0, 1).index_copy(0, image_places, image.to(embeddings.dtype))
        hidden = self.text(
            inputs_embeds=flat.reshape(embeddings.shape),
            attention_mask={"full_attention": packed.mask},
            position_ids=packed.positions,
            use_cache=False,
        ).last_hidden_state
        features: Tensor = hidden.flatten(0, 1)
        return features


def read_batch(
    tokenizer: Encodes,
    seed: str,
    count: int,
    worlds: tuple[World, ...],
    *,
    compress: bool,
    asked: tuple[str, ...],
    max_slices: int = 9,
    view_side: int = VIEW_SIDE,
) -> ReadBatch:
    """Draw `count` scenes by `seed`, as symbolic tokens with questions. The worlds take turns."""
    scenes = [draw_scene(f"{seed}/{index}", worlds[index % len(worlds)]) for index in range(count)]
    dice = random.Random(seed)
    side = 4 if compress else 2
    shown: list[tuple[list[Seen], View]] = []
    prefixes = []
    for scene in scenes:
        views, grid = plan_views(scene.width, scene.height, compress=compress, max_slices=max_slices, side=view_side)
        shown += [([_misread(seen, dice) for seen in see_all(scene, view)], view) for view in views]
        prefixes.append(prefix_ids(tokenizer, views, grid, side))
    questions = [
        [ask(scene, kind, f"{seed}/{number}/{index}") for number, kind in enumerate(asked)]
        for index, scene in enumerate(scenes)
    ]
    packed = pack(tokenizer, prefixes, questions, spell=True)
    return ReadBatch(packed, said(shown, side), find_images(tokenizer, packed), questions)


def find_images(tokenizer: Encodes, packed: Packed) -> Tensor:
    """The places of the image tokens in the flattened sequences, int64."""
    return (packed.ids.flatten() == tokenizer.encode("<|image_pad|>")[0]).nonzero()[:, 0]


def _misread(seen: Seen, dice: random.Random) -> Seen:
    glyphs = tuple((dice.choice(ALPHABET) if dice.random() < MISREAD else c, x, y) for c, x, y in seen.glyphs)
    return replace(seen, glyphs=glyphs)


def blurred(tokens: Tensor) -> Tensor:
    """Add noise to symbolic tokens, because the tower's tokens will not be exact either."""
    scale = tokens.detach().square().mean().sqrt()
    return tokens + BLUR * scale * torch.randn_like(tokens)


def code_loss(symbols: Symbols, read: Tensor, packed: Packed) -> Tensor:
    """The cross-entropy of codes where the objects are named that they are asked of, from `read` [B * T, width].

    A character is read from the same vector that says it in a symbolic token: its own, bound to its
    position. So the word that completes an object's name learns to gather what its tokens say.
    """
    spoken = symbols.alphabet[1:, None] * symbols.position  # [characters, 5, width]
    written = torch.einsum("qw,cpw->qpc", read[packed.named].float(), spoken)
    scores = torch.cat((torch.zeros_like(written[..., :1]), written), dim=-1)  # class 0 is none
    total = functional.cross_entropy(scores.flatten(0, 1), packed.codes.flatten(), reduction="sum")
    return total / max(packed.codes.numel(), 1)


@torch.no_grad()
def answer_scores(logits: Tensor, packed: Packed, questions: list[list[Question]]) -> dict[str, list[bool]]:
    """By kind of question, whether greedy decoding gives each answer: every token of it is the likeliest one."""
    right = torch.ones(packed.labels.numel(), dtype=torch.bool)
    right[packed.labelled.cpu()] = (logits.argmax(-1) == packed.wanted).cpu()
    right, kinds = right.reshape(packed.labels.shape), packed.kinds.cpu()
    scores: dict[str, list[bool]] = {}
    for row, asked in enumerate(questions):
        for number, question in enumerate(asked):
            exact = bool(right[row][kinds[row] == number].all())
            scores.setdefault(question.kind, []).append(exact)
    return scores
