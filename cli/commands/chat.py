"""`uhd chat`: a conversation about images, in a terminal or from a file of questions."""

from __future__ import annotations

import sys
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import click

from uhd_edge.cli.images import own_modes, split_mode, with_own_mode
from uhd_edge.cli.options import (
    answering_options,
    ask_options,
    max_frames_option,
    open_assistant,
    opening_options,
    stack_frames_option,
)
from uhd_edge.cli.printing import print_pieces, say_budget
from uhd_edge.cli.unused import say_unused_stack_frames, say_unused_think_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from uhd_edge.runtime.assistant import Assistant
    from uhd_edge.runtime.conversation.encoded_images import QuestionImage
    from uhd_edge.runtime.images.video import MediaInput
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.options import AskOptions
    from uhd_edge.runtime.session import Session

MODES = ("16x", "4x")

HELP = """\
/image FILE      add an image or a video to the next question; FILE@4x and FILE@16x give it a mode of its own
/mode 16x|4x     encode new images in this mode; /reset encodes the first images again
/think on|off    let the model think before it answers, or not; /think alone switches
/reset           start over with the images of the command line
/help            show this list
/quit            leave, as Ctrl-D does; Ctrl-C stops an answer and forgets its question"""

# What may follow a command, for one that is followed by something else.
USAGE = {
    "/image": "name a file, as in /image photo.jpg",
    "/mode": "the modes are 16x and 4x",
    "/think": "on or off may follow; nothing switches between the two",
    "/reset": "nothing may follow",
    "/quit": "nothing may follow",
}


@click.command()
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@click.option("--drop-oldest", is_flag=True, help="Drop the oldest turns when the context is full.")
@opening_options
@answering_options
@max_frames_option
@stack_frames_option
def chat(images: tuple[str, ...], *, drop_oldest: bool, max_frames: int, stack_frames: int, **given: Any) -> None:
    """Chat about images or videos, one question per line; /help lists the commands.

    IMAGE@4x and IMAGE@16x give an image a mode of its own, here and after /image.
    Each image is encoded once, no matter how many questions follow. Questions can also be
    piped in; the exit code is then 1 if one of them could not be answered.
    """
    from uhd_edge.runtime.options import check_options

    if any(split_mode(image)[0] == "-" for image in images):
        raise click.UsageError("standard input is for the questions; name an image file instead of `-`")
    if sys.stdin is None or sys.stdin.closed:
        raise click.UsageError("standard input is closed, but questions are read from it")
    options = ask_options(given)
    check_options(options)
    decode = partial(with_own_mode, decode=partial(_decoded, max_frames=max_frames, stack_frames=stack_frames))
    shown = [decode(image) for image in images]  # like a wrong option, refused before the model is opened
    say_unused_stack_frames([split_mode(image)[0] for image in images], stack_frames, more_may_come=True)
    with (
        open_assistant(given, images) as assistant,
        closing(Talk(assistant, shown, options, drop_oldest=drop_oldest, decode=decode)) as talk,
    ):
        say_unused_think_tokens(assistant.bundle.manifest.prompt, options.get("think"), may_change=True)
        for line in _lines():
            if not talk.say(line):
                break
    if talk.failed and not sys.stdin.isatty():
        sys.exit(1)


class Talk:
    """A conversation between a terminal and an assistant; close it after use.

    `failed` says whether any line could not be answered.
    """

    def __init__(
        self,
        assistant: Assistant,
        images: list[QuestionImage],
        options: AskOptions,
        *,
        drop_oldest: bool,
        decode: Callable[[str], QuestionImage],
    ) -> None:
        self._assistant = assistant
        self._first_images = images
        self._options = options
        self._drop_oldest = drop_oldest
        self._decode = decode
        self._more_images: list[QuestionImage] = []
        self._notes = 0
        self.failed = False
        self._session = self._begin()

    def say(self, line: str) -> bool:
        """Answer a question or carry out a command; False when the line ends the conversation."""
        from uhd_edge.runtime.errors import UhdError

        line = line.strip()
        if line == "/quit":
            return False
        try:
            if line.startswith("/"):
                self._follow(*line.split(maxsplit=1))
            elif line:
                self._answer(line)
        except UhdError as error:
            self._report_error(" ".join(str(error).split()))
        except KeyboardInterrupt:
            if not sys.stdin.isatty():
                raise
            click.echo()
            click.echo("uhd: interrupted; the question is forgotten", err=True)
        return True

    def close(self) -> None:
        """End the conversation."""
        self._session.close()

    def _begin(self) -> Session:
        mode = self._options.get("mode")
        return self._assistant.session(self._first_images, mode=mode, drop_oldest=self._drop_oldest)

    def _answer(self, question: str) -> None:
        new = list(self._more_images)
        if self._options.get("schema") is not None:  # JSON is printed whole or not at all
            answer = self._session.ask(question, images=new, **self._options)
            click.echo(answer.text)
        else:
            answer = print_pieces(self._session.stream(question, images=new, **self._options))
        say_budget(answer, self._options)
        self._more_images.clear()
        for note in self._assistant.notes[self._notes :]:
            click.echo(f"uhd: {note}", err=True)
        self._notes = len(self._assistant.notes)

    def _follow(self, command: str, argument: str = "") -> None:
        """Carry out a line that begins with a slash; raises `ImageError` for a file that is not an image."""
        if command == "/image" and argument:
            self._add(argument.strip("\"' "))
        elif command == "/mode" and argument in MODES:
            self._options["mode"] = cast("Mode", argument)
        elif command == "/think" and argument in ("", "on", "off"):
            self._set_thinking({"on": True, "off": False}.get(argument))
        elif command == "/reset" and not argument:
            self._session.close()
            self._session = self._begin()
            self._more_images.clear()
        elif command == "/help":
            click.echo(HELP, err=True)
        else:
            reason = USAGE.get(command, "unknown command; /help lists the commands")
            self._report_error(f"{command} {argument}".strip() + f": {reason}")

    def _set_thinking(self, think: bool | None) -> None:
        """Let the model think from now on, or not; None switches. Raises `OptionError` where it cannot."""
        from uhd_edge.runtime.prompt.thinking import check_think

        prompt = self._assistant.bundle.manifest.prompt
        if think is None:
            think = not check_think(prompt, self._options.get("think"))
        check_think(prompt, think)
        self._options["think"] = think
        click.echo(f"uhd: thinking is {'on' if think else 'off'}", err=True)

    def _add(self, image: str) -> None:
        """Keep an image for the next question; raises `EngineUnavailableError` for a mode that the bundle lacks."""
        own_modes([image], self._assistant.bundle)
        self._more_images.append(self._decode(image))

    def _report_error(self, message: str) -> None:
        self.failed = True
        click.echo(f"uhd: {message}", err=True)


def _decoded(path: str, *, max_frames: int, stack_frames: int) -> MediaInput:
    """Decode an image or a video; raises `ImageError` for anything else."""
    from uhd_edge.runtime.images.loading import load_image
    from uhd_edge.runtime.images.video import Video, is_video, video_frames

    if is_video(path) and stack_frames > 1:
        video_frames(path, max_frames=1)  # so that a damaged video is refused now
        return Video(path, max_frames, stack_frames)
    if is_video(path):
        return Video(video_frames(path, max_frames=max_frames), max_frames)
    return load_image(path)


def _lines() -> Iterator[str]:
    """Read lines from standard input, with a prompt and line editing in a terminal."""
    if not sys.stdin.isatty():
        for line in sys.stdin.buffer:
            yield line.decode("utf-8", "replace")
        return
    with suppress(ImportError):
        import readline  # noqa: F401  # gives `input` line editing and a history
    while True:
        try:
            yield _typed()
        except EOFError:
            click.echo()
            return
        except KeyboardInterrupt:
            click.echo()
        except UnicodeDecodeError:
            click.echo("uhd: the line is not valid UTF-8; type it again", err=True)


def _typed() -> str:
    """Read a line from the terminal; the prompt is kept out of redirected answers."""
    if sys.stdout.isatty():
        return input("> ")
    click.echo("> ", nl=False, err=True)
    return input()
