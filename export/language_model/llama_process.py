"""Runs llama.cpp's tools in a separate process, and turns a failure into an error of one line."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import ExportError, ModelError, OutputError, UhdError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

POLL_SECONDS = 0.3
FULL_DISK_BYTES = 1 << 20


@dataclass(frozen=True)
class GgufFacts:
    """What llama.cpp found in a GGUF.

    `file_type` is a number of `enum llama_ftype`. `hidden_size` is the width of the embeddings that
    the model takes. `parts` is the number of files the model is split into. `tokens` holds the
    token ids of each text that was to be tokenized.
    """

    architecture: str
    file_type: int | None
    hidden_size: int
    vocabulary_size: int
    parts: int
    tokens: tuple[tuple[int, ...], ...]


def inspect_gguf(file: Path, texts: Sequence[str], *, name: str) -> GgufFacts:
    """Load `file` with llama.cpp, without computing anything, and tokenize `texts`.

    Special tokens in a text become their ids. Messages call the file `name`. Raises `ModelError`
    with llama.cpp's reason when the file does not load, and `ExportError` when llama.cpp does not
    know its pre-tokenizer.
    """
    if not file.is_file():
        raise ModelError(f"{name}: no such file; --llm takes one GGUF file")

    def not_loaded(reason: str) -> UhdError:
        if "unknown pre-tokenizer type" in reason:
            return ExportError(f"{name}: {reason}; name the right one with --tokenizer-pre, such as qwen2 or qwen35")
        return ModelError(f"{name}: not a language model that llama.cpp can load: {reason}")

    answer = run_worker("inspect", str(file.resolve()), stdin=json.dumps(list(texts)), error=not_loaded)
    found = json.loads(answer)
    return GgufFacts(
        architecture=found["architecture"] or "unknown",
        file_type=int(found["file_type"]) if found["file_type"] else None,
        hidden_size=found["hidden_size"],
        vocabulary_size=found["vocabulary_size"],
        parts=int(found["parts"] or 1),
        tokens=tuple(map(tuple, found["tokens"])),
    )


def run_worker(
    *arguments: str,
    error: Callable[[str], UhdError],
    stdin: str = "",
    folder: Path | None = None,
    watch: Callable[[], None] | None = None,
) -> str:
    """Run `uhd_edge.export.language_model.llama_worker` and return what it wrote to stdout.

    `folder` is its working directory. `watch` is called a few times a second while it runs. A
    failure raises `error(reason)`, or `OutputError` when `folder`'s disk is full.
    """
    command = [sys.executable, "-m", "uhd_edge.export.language_model.llama_worker", *arguments]
    # The command is this interpreter with a module of ours; the arguments are never read by a shell.
    with subprocess.Popen(  # noqa: S603
        command,
        cwd=folder or Path("/"),  # not the user's folder: Python would import a file there that is named like a module
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            answer, log = _communicate(process, stdin, watch)
        except BaseException:
            process.kill()
            raise
    if process.returncode == 0:
        return answer
    if folder is not None and _disk_is_full(folder, log):
        raise OutputError(f"{folder}: no space left on the disk; free some and export again")
    raise error(_reason(process.returncode, log))


def _communicate(process: subprocess.Popen[str], stdin: str, watch: Callable[[], None] | None) -> tuple[str, str]:
    sent: str | None = stdin
    while True:
        try:
            return process.communicate(sent, timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            sent = None  # the next call goes on sending the first input
            if watch:
                watch()


def _disk_is_full(folder: Path, log: str) -> bool:
    return "No space left on device" in log or shutil.disk_usage(folder).free < FULL_DISK_BYTES


def _reason(code: int, log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    last = lines[-1] if lines else "no reason given"
    if code < 0:
        return f"llama.cpp was ended by {signal.Signals(-code).name}: {last}"
    return last
