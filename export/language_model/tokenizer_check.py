"""Checks that a GGUF splits text into the same tokens as the checkpoint it belongs to.

A wrong pre-tokenizer or another vocabulary causes no error. The answers just get worse, or the
place of the image is not found. So, before a bundle is written, some texts are tokenized with
the GGUF and with the checkpoint's `tokenizer.json`, and the token ids are compared.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.engines.extras import extra_needed
from uhd_edge.export.checkpoint.processor import TOKENIZER
from uhd_edge.runtime.errors import CheckpointError, ExportError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tokenizers import Tokenizer

    from uhd_edge.export.checkpoint.checkpoint import Checkpoint
    from uhd_edge.runtime.bundles.manifest import SpecialTokens

# Texts that pre-tokenizers are known to split differently. They are in NFC, because llama.cpp does not normalize.
PROBES = (
    "What is the code on the red circle? I'LL say it's K7Q2, they've 'd said so, didn't WE'RE?",
    "1 12 123 1234 12345 123456 1234567 3.14159 1,000,000 0x1F 2026-11-22T14:25:07",
    "a  b   c    d\te\t\tf\n\ng\n\n\nh \n i\r\nj \t\n   k ",
    " leading, trailing  ",
    "def area(r):\n    return 3.14 * r**2  # m²\n\n\nif __name__ == '__main__':\n\tprint(f\"{area(2)!r}\")\n",
    '<p class="x">a && b || !c; $HOME/.cfg ~ `x` @y #z %5 ^ _under_score-dash...…</p>',
    "Größe, élan, naïve, Ærøskøbing, łódź, İstanbul, ŒUVRE; Ελληνικά· Что на картинке? Їжак",
    "图像里有什么？红色圆圈上的代码是１２３。 どんな色ですか・カタカナ 무슨 색입니까?",  # noqa: RUF001
    "ما لون الدائرة؟ מה הצבע? हिन्दी में क्या है ประเทศไทย កម្ពុជា தமிழ்",
    "🙂🚀 👩‍👩‍👧‍👦 🇪🇺 👍🏽 ✅ 1️⃣ ∑∫√≈≤ → ½ Ⅷ ﬁ",
    "\u00a0no-break\u2003em\u200bzero\ufeff\u2028line",
)

# The pattern by which `tokenizer.json` splits text -> llama.cpp's name for that pre-tokenizer. llama.cpp's own
# table has a hash over the whole vocabulary as its key, so it does not know a changed vocabulary.
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
_NUMBERS = r"\p{N}|"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
PRE_TOKENIZERS = {
    _CONTRACTIONS + r"[^\r\n\p{L}\p{N}]?\p{L}+|" + _NUMBERS + r" ?[^\s\p{L}\p{N}]+[\r\n]*|" + _SPACES: "qwen2",
    _CONTRACTIONS
    + r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|"
    + _NUMBERS
    + r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"
    + _SPACES: "qwen35",
}


@dataclass(frozen=True)
class Probe:
    """A text, its token ids in the checkpoint, and the index of each token's first character.

    `special` is true if the text is one added token, such as `<image>`.
    """

    text: str
    ids: tuple[int, ...]
    starts: tuple[int, ...]
    special: bool


def load_tokenizer(checkpoint: Path) -> Tokenizer:
    """Open the checkpoint's `tokenizer.json`; raises `CheckpointError` when it is missing or unreadable."""
    with extra_needed("export", "an export"):
        from tokenizers import Tokenizer
    file = checkpoint / TOKENIZER
    if not file.is_file():
        raise CheckpointError(f"{checkpoint}: {TOKENIZER} is missing; save the tokenizer with transformers' fast class")
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the Rust library raises bare Exception
        raise CheckpointError(f"{file}: not a tokenizer: {error}") from error


def check_table(checkpoint: Path, rows: int) -> None:
    """Raise `CheckpointError` when the tokenizer has tokens beyond the `rows` of the embedding table."""
    vocabulary = load_tokenizer(checkpoint).get_vocab(with_added_tokens=True)
    beyond = sorted((token_id, text) for text, token_id in vocabulary.items() if token_id >= rows)
    if beyond:
        token_id, text = beyond[0]
        raise CheckpointError(
            f"{checkpoint / TOKENIZER}: {len(beyond)} tokens have no row in the embedding table of {rows}, the first "
            f"is {text!r} ({token_id}); take the tokenizer that belongs to the checkpoint, or add rows with "
            "transformers' model.resize_token_embeddings"
        )


def check_markers(checkpoint: Checkpoint, tokens: SpecialTokens) -> None:
    """Raise `CheckpointError` unless the tokens around views have the ids that config.json gives them."""
    tokenizer = load_tokenizer(checkpoint.folder)
    texts = {**tokens.model_dump(), "newline": "\n"}
    for name, expected in checkpoint.config.marker_ids.items():
        found = tokenizer.encode(texts[name], add_special_tokens=False).ids
        if found != [expected]:
            raise CheckpointError(
                f"{checkpoint.folder}: config.json says that {name}_id is {expected}, but {texts[name]!r} is "
                f"{_tokens(found)}; take the tokenizer that belongs to the checkpoint"
            )


def pre_tokenizer_name(checkpoint: Path) -> str | None:
    """llama.cpp's name for the way in which `tokenizer.json` splits text; None if it is unknown."""
    split = json.loads(load_tokenizer(checkpoint).to_str()).get("pre_tokenizer") or {}
    patterns = [step.get("pattern", {}).get("Regex") for step in split.get("pretokenizers", [split])]
    return next((PRE_TOKENIZERS[pattern] for pattern in patterns if pattern in PRE_TOKENIZERS), None)


def probes(tokenizer: Tokenizer) -> list[Probe]:
    """The texts to compare: each added token, one text with all of them between words, then `PROBES`."""
    added = sorted(token.content for token in tokenizer.get_added_tokens_decoder().values())
    between = "".join(f"a{token} b\n{token}{token}1" for token in added)
    found = []
    for text in (*added, between, *PROBES):
        encoding = tokenizer.encode(text, add_special_tokens=False)
        starts = tuple(start for start, _ in encoding.offsets)
        found.append(Probe(text, tuple(encoding.ids), starts, special=text in added))
    return found


def compare(name: str, expected: Sequence[Probe], found: Sequence[Sequence[int]]) -> None:
    """Compare the checkpoint's token ids with those of the GGUF `name`.

    Raises `ModelError` if a special token differs, because then the vocabulary is another one, and
    `ExportError` if ordinary text differs, because then the pre-tokenizer is another one.
    """
    for probe, ids in zip(expected, found, strict=True):
        if tuple(ids) == probe.ids:
            continue
        if probe.special:
            raise ModelError(
                f"{name}: {probe.text} is {_tokens(ids)} there, but {_tokens(probe.ids)} in the checkpoint; "
                "the vocabulary is another one, so take the language model that belongs to the checkpoint"
            )
        at = next((i for i, pair in enumerate(zip(ids, probe.ids, strict=False)) if pair[0] != pair[1]), 0)
        start = probe.starts[at] if at < len(probe.starts) else 0
        raise ExportError(
            f"{name}: splits text differently from the checkpoint: {probe.text[start : start + 16]!r} begins with "
            f"{_tokens(ids[at : at + 3])} there, but with {_tokens(probe.ids[at : at + 3])} in the checkpoint; "
            "name the right pre-tokenizer with --tokenizer-pre, such as qwen2 or qwen35"
        )


def _tokens(ids: Sequence[int]) -> str:
    if not ids:
        return "no token"
    return f"token{'s' if len(ids) > 1 else ''} {', '.join(map(str, ids[:6]))}{', ..' if len(ids) > 6 else ''}"
