"""llama.cpp runs in a process of its own, and its failures become one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from uhd_edge.export.language_model import llama_process
from uhd_edge.export.language_model.llama_process import inspect_gguf
from uhd_edge.export.language_model.quantize import quantize
from uhd_edge.runtime.errors import ModelError, OutputError


def pretend_llama_cpp(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process that runs llama.cpp be a shell script."""
    file = folder / "python"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    monkeypatch.setattr(llama_process.sys, "executable", str(file))


def test_a_crash_of_llama_cpp_becomes_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_llama_cpp(tmp_path, "echo 'GGML_ASSERT(n > 0) failed' >&2; kill -ABRT $$", monkeypatch)
    (tmp_path / "llm.gguf").touch()
    with pytest.raises(ModelError, match=r"ended by SIGABRT: GGML_ASSERT\(n > 0\) failed$"):
        inspect_gguf(tmp_path / "llm.gguf", [], name="it")


def test_a_disk_that_fills_up_under_llama_cpp_is_reported_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_llama_cpp(tmp_path, "echo 'OSError: [Errno 28] No space left on device' >&2; exit 1", monkeypatch)
    with pytest.raises(OutputError, match="no space left on the disk"):
        quantize(tmp_path / "from.gguf", tmp_path / "to.gguf", "q8_0")


def test_an_interrupted_export_ends_llama_cpp_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_llama_cpp(
        tmp_path, f"echo $$ > {tmp_path}/started; mv {tmp_path}/started {tmp_path}/pid; exec sleep 1000", monkeypatch
    )

    def interrupt() -> None:
        if (tmp_path / "pid").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize(tmp_path / "from.gguf", tmp_path / "to.gguf", "q8_0", watch=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
