"""`uhd chat`: from a file of questions, and on a real terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from support.answering_bundle import bundle_of, save
from support.places import EXAMPLES
from support.vision.one_mode import without_mode

from uhd_edge.cli.main import Invocation, exit_code, uhd
from uhd_edge.runtime import Assistant
from uhd_edge.runtime.errors import ContextError

if TYPE_CHECKING:
    from collections.abc import Iterator

BENCH, WIDE = str(EXAMPLES / "bench.png"), str(EXAMPLES / "wide.png")
STAR, LEFTMOST = "What is the code on the white star?", "Which object is the leftmost?"


def chat(lines: str | bytes, *arguments: str) -> Result:
    return CliRunner().invoke(uhd, ["chat", *arguments], input=lines, obj=Invocation())


def test_questions_that_are_piped_in_are_answered_as_one_conversation() -> None:
    with Assistant() as assistant, assistant.session(BENCH) as session:
        expected = [session.ask(question).text for question in (STAR, LEFTMOST, STAR)]
    found = chat(f"{STAR}\n\n  {LEFTMOST}\n{STAR}", BENCH)
    assert (found.stdout.splitlines(), found.stderr, found.exit_code) == (expected, "", 0)
    assert expected[0] == "JX7"


def test_an_image_may_come_later_and_a_reset_forgets_it() -> None:
    with Assistant() as assistant:
        session = assistant.session(BENCH, mode="4x")
        expected = [session.ask(STAR, mode="16x").text, session.ask(LEFTMOST, images=WIDE, mode="4x").text]
        expected.append(assistant.ask(BENCH, STAR, mode="4x").text)
    lines = f"{STAR}\n/image {WIDE}\n/mode 4x\n{LEFTMOST}\n/reset\n{STAR}\n/quit\n{STAR}\n"
    found = chat(lines, BENCH, "--mode", "16x")
    assert (found.stdout.splitlines(), found.stderr, found.exit_code) == (expected, "", 0)


def test_images_have_modes_of_their_own_and_names_that_look_like_it(tmp_path: Path) -> None:
    odd = tmp_path / "odd.png@4x"
    odd.write_bytes((EXAMPLES / "wide.png").read_bytes())
    with Assistant(context=480) as assistant, assistant.session((BENCH, "4x")) as session:
        expected = [session.ask(STAR).text, session.ask(LEFTMOST, images=WIDE).text]
        with pytest.raises(ContextError) as too_many:  # it says how many tokens there are
            session.ask(LEFTMOST, images=(WIDE, "4x"))
    lines = f"{STAR}\n/image {odd}\n{LEFTMOST}\n/image {odd}@8x\n/image {WIDE}@4x\n{LEFTMOST}\n"
    found = chat(lines, f"{BENCH}@4x", "--context", "480")
    assert found.stdout.splitlines() == expected
    missing, refused = found.stderr.splitlines()
    assert missing.startswith(f"uhd: {odd}@8x: no such file")
    assert refused == f"uhd: {too_many.value}"


def test_a_mode_that_the_bundle_lacks_is_refused_when_the_image_comes(tmp_path: Path) -> None:
    coarse = without_mode("4x", tmp_path / "coarse")
    found = chat(f"/image {WIDE}@4x\n{STAR}\n", BENCH, "--bundle", str(coarse))
    assert found.stdout == "JX7\n"
    assert found.stderr == f"uhd: {WIDE}@4x: {coarse} has no 4x graphs for it; the bundle has 16x (fp32, fp16)\n"


def test_a_model_that_cannot_think_says_so_at_once_and_goes_on_without() -> None:
    found = chat(f"/think\n{STAR}\n", BENCH)
    assert found.stdout == "JX7\n"
    assert found.stderr == (
        "uhd: this model cannot be asked to think, as its chat template has no enable_thinking; "
        "leave out think (--think)\n"
    )
    assert found.exit_code == 1


def test_what_cannot_be_done_is_a_line_and_the_conversation_goes_on() -> None:
    wrong = "/image none.png\n/image\n/mode 8x\n/think hard\n/nonsense here\n"
    lines = f"{wrong}{'What? ' * 5000}\n<|image_pad|>\n{STAR}\n/help\n"
    found = chat(lines.encode() + f"\xff\xfe\n/reset\n{STAR}\n".encode("latin-1"), BENCH)
    assert [found.stdout.splitlines()[place] for place in (0, -1)] == ["JX7", "JX7"]
    assert len(found.stdout.splitlines()) == 3
    assert found.exit_code == 1
    complaints = found.stderr.splitlines()
    assert [line.split(";")[0].split(": ", 1)[1] for line in complaints[:5]] == [
        "none.png: no such file",
        "/image: name a file, as in /image photo.jpg",
        "/mode 8x: the modes are 16x and 4x",
        "/think hard: on or off may follow",
        "/nonsense here: unknown command",
    ]
    assert complaints[5].startswith("uhd: the prompt needs ")
    assert complaints[6].startswith("uhd: the text contains <|image_pad|>")
    assert complaints[7].startswith("/image FILE")


def test_a_schema_makes_every_answer_json(tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"enum": ["red", "JX7"]}')
    found = chat(f"{STAR}\n", BENCH, "--schema", str(schema))
    assert found.stdout == '"JX7"\n'


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-"], 2, "standard input is for the questions"),
        (["none.png"], 1, "uhd: none.png: no such file; check the path\n"),
        ([BENCH, "--temperature", "-1"], 1, "uhd: temperature is -1.0; it must be 0, or from 0.01 to 100\n"),
    ],
)
def test_a_chat_that_cannot_begin_says_why(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path(__file__).open() as questions:
        monkeypatch.setattr(sys, "stdin", questions)
        assert exit_code(["chat", *arguments]) == code
    assert message in capsys.readouterr().err


# Takes the terminal that is its standard input for its own, so that Ctrl-C arrives as it does in a shell.
TAKE_TERMINAL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests that run in the background inherit that it is ignored
os.execv(sys.executable, [sys.executable, "-m", "uhd_edge.cli", "chat", *sys.argv[1:]])
"""


class Terminal:
    """`uhd chat` with a terminal of its own; everything waits for what is printed."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.unread = ""

    def until(self, text: str, *, meanwhile: str = "") -> str:
        """What is printed up to and with `text`; while nothing comes for long, `meanwhile` is typed again."""
        while text not in self.unread:
            if meanwhile and not select.select([self._ours], [], [], 5)[0]:
                self.type(meanwhile)
            else:
                self.read()
        before, self.unread = self.unread.split(text, 1)
        return before + text

    def read(self) -> None:
        """Wait for something that is printed."""
        try:
            piece = os.read(self._ours, 4096)
        except OSError:  # the terminal's other end is closed
            piece = b""
        if not piece:
            pytest.fail(f"the chat has ended: {self.unread!r}")
        self.unread += piece.decode("utf-8", "replace")

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for one in opened:
        one.close()


def test_a_terminal_prompts_answers_and_ends_with_control_d(terminal: list[Terminal]) -> None:
    terminal.append(talk := Terminal(BENCH))
    talk.until("> ")
    talk.type(f"{STAR}\n")
    talk.until("JX7")
    talk.until("> ")
    talk.type("half a quest")
    talk.until("half a quest")
    talk.type("\x03")  # at the prompt it drops the line
    # Python's readline notices an interrupt only while it waits for a key, and a program is quick enough to miss that.
    talk.until("> ", meanwhile="\x03")
    talk.type("/help\n")
    talk.until("/quit")
    talk.until("> ")
    talk.type("\x04")
    assert talk.process.wait(timeout=120) == 0


def test_control_c_ends_an_answer_and_not_the_program(terminal: list[Terminal], tmp_path: Path) -> None:
    bundle = save(bundle_of(tmp_path / "bundle"))
    with Assistant(bundle) as assistant:
        assert assistant.ask(None, "Long?", max_tokens=900).usage.completion_tokens > 500
    terminal.append(talk := Terminal("--bundle", str(bundle.path), "--max-tokens", "900", "--threads", "1"))
    talk.until("> ")
    talk.type("Long?\n")
    talk.until("\n")
    while len(talk.unread.strip()) < 5:
        talk.read()
    talk.type("\x03")
    talk.until("uhd: interrupted; the question is forgotten")
    talk.until("> ")
    talk.type("/quit\n")
    assert talk.process.wait(timeout=120) == 0
