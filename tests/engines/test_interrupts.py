"""Ctrl-C ends the program, whichever library is at work and whatever it makes of the interrupt."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from support.places import EXAMPLES
from support.tiny_gguf import write_gguf

from uhd_edge.engines import onnxruntime as engine
from uhd_edge.engines.interrupts import held_interrupts
from uhd_edge.runtime.errors import ModelError
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.llama_library import llama_library


class Interrupting(deque[Any]):
    """Takes the place of the kept log lines and presses Ctrl-C with the line of number `at`."""

    def __init__(self, at: int) -> None:
        super().__init__(maxlen=100)
        self.seen = 0
        self.at = at

    def append(self, line: Any, /) -> None:
        super().append(line)
        self.seen += 1
        if self.seen == self.at:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("models") / "model.gguf")


@pytest.fixture(scope="module")
def lines(path: Path) -> int:
    """How many lines llama.cpp logs while the model is opened."""
    with pytest.MonkeyPatch.context() as patch:
        counting = Interrupting(at=0)
        patch.setattr(llama_library()._log, "lines", counting)
        LanguageModel(path, threads=1).close()
    assert counting.seen > 10
    return counting.seen


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_an_interrupt_while_llama_cpp_opens_or_closes_a_model_comes_out(
    path: Path, lines: int, part: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading logs the first lines, making room for the context those after them, closing the last."""
    monkeypatch.setattr(llama_library()._log, "lines", Interrupting(at=1 + int(part * (lines - 1))))
    with pytest.raises(KeyboardInterrupt):
        LanguageModel(path, threads=1).close()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_an_interrupted_call_opened_is_freed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = llama_library()
    freed: list[Any] = []
    free = library.api.llama_model_free
    monkeypatch.setattr(library.api, "llama_model_free", lambda model: (freed.append(model), free(model)))
    monkeypatch.setattr(library._log, "lines", Interrupting(at=1))
    with pytest.raises(KeyboardInterrupt):
        LanguageModel(path, threads=1)
    assert len(freed) == 1


def test_an_interrupt_while_llama_cpp_reads_a_prompt_comes_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LanguageModel(path, threads=1) as model:
        decode, note = model._api.llama_decode, model._library._callback

        def logging_decode(context: Any, batch: Any) -> Any:
            note(2, b"a line", None)  # as llama.cpp does: through ctypes, which drops exceptions
            return decode(context, batch)

        monkeypatch.setattr(model._api, "llama_decode", logging_decode)
        monkeypatch.setattr(model._library._log, "lines", Interrupting(at=1))
        with pytest.raises(KeyboardInterrupt):
            model.prefill([model.vocabulary.tokenize("hello")])


def test_a_held_interrupt_reaches_the_handler_that_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    ours = signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    try:
        with held_interrupts():
            signal.raise_signal(signal.SIGTERM)
            assert heard == []
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, ours)


def test_another_thread_has_nothing_to_hold() -> None:
    failures: list[BaseException] = []

    def hold() -> None:
        try:
            with held_interrupts():
                pass
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert failures == []


def raise_as_native_modules_do(*_: object) -> None:
    """numpy's C API and pybind11 report every failure of an import in them as an `ImportError`."""
    raise ImportError("initialization failed") from KeyboardInterrupt()


def test_an_interrupted_import_of_onnxruntime_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib, "import_module", raise_as_native_modules_do)
    with pytest.raises(KeyboardInterrupt):
        engine.offered_providers()


def test_an_interrupted_import_of_llama_cpp_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = type("Finder", (), {"find_spec": staticmethod(raise_as_native_modules_do)})
    for module in [name for name in sys.modules if name.partition(".")[0] == "llama_cpp"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [finder])
    with pytest.raises(KeyboardInterrupt):
        llama_library.__wrapped__()


def test_an_import_that_fails_by_itself_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(ModelError, match="cannot be loaded"):
        llama_library.__wrapped__()


ASK = """
import sys
from pathlib import Path
sys.path[:0] = ["..", "."]
from test_interrupts import Interrupting
from uhd_edge.cli import main
from uhd_edge.runtime import assistant
from uhd_edge.runtime.bundles import bundle
from uhd_edge.runtime.llm.llama_library import llama_library
from uhd_edge.runtime.llm.language_model import LanguageModel

bundle.Bundle.open = lambda path: Path(path)
assistant.Assistant = lambda path, **_: LanguageModel(path, threads=1)
llama_library()._log.lines = Interrupting(at=1)
main.run(["ask", sys.argv[2], "What?", "--bundle", sys.argv[1]])
"""


def test_an_interrupted_command_ends_with_130_and_one_line(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(path), str(EXAMPLES / "bench.png")],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "uhd: interrupted")
