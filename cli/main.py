"""The `uhd` command group and the one place where errors become exit codes."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module

import click

from uhd_edge.engines.errors import UhdError

# In the order of `uhd --help`, with their descriptions. Each is the function of its name in the file
# of its name.
COMMANDS = {
    "ask": "Ask a question about images or videos.",
    "chat": "Chat about images or videos in the terminal.",
    "watch": "Ask about the newest frame of a camera or stream, over and over.",
    "batch": "Ask the same questions about many pictures.",
    "serve": "Serve OpenAI's chat-completions API.",
    "plan": "List modes and numbers of slices, with predicted times.",
    "pull": "Bring a model to this machine, ready to ask.",
    "list": "List the models on this machine.",
    "remove": "Remove models from this machine.",
    "export": "Export a checkpoint as a bundle.",
    "calibrate": "Add INT8 graphs to a bundle, calibrated on images.",
    "build": "Build TensorRT engines from a bundle's graphs.",
    "verify": "Compare a bundle's embeddings and answers with FP32.",
    "bench": "Measure every stage of an answer on this machine.",
    "eval": "Count right answers to a data set's questions.",
    "flops": "Count the operations that encoding an image takes.",
    "inspect": "Show what a bundle contains, and check its files.",
    "doctor": "Show what this machine can run, and how to get what is missing.",
}

# Those whose files are in `commands/measuring/`.
MEASURING = ("bench", "eval", "flops")

ANSWERED = 0
OUR_ERROR = 1
INTERRUPTED = 130


@dataclass
class Invocation:
    """The options that all commands share, and what a command reports when it ends.

    `all_closed` means that everything is closed, so the process may exit at once. Shutting down
    the interpreter and the native libraries takes as long as importing numpy.
    """

    debug: bool = False
    all_closed: bool = False


class Commands(click.Group):
    """The commands; each is imported from the file of its name when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order of `uhd --help`."""
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(module_of(cmd_name)), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their descriptions, without importing any."""
        others = {name: self.commands[name].get_short_help_str() for name in super().list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items(), *others.items()])


def module_of(command: str) -> str:
    """The name of the module that a command is imported from."""
    return f"uhd_edge.cli.commands.{'measuring.' if command in MEASURING else ''}{command}"


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    from uhd_edge.runtime.release import installed_version

    if wanted and not ctx.resilient_parsing:
        click.echo(f"uhd, version {installed_version()}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.option("--debug", is_flag=True, help="Show a traceback when something goes wrong.")
@click.pass_obj
def uhd(invocation: Invocation, *, debug: bool) -> None:
    """Answer questions about images on this device."""
    invocation.debug = debug


def run(arguments: Sequence[str] | None = None) -> None:
    """Run `uhd` and exit with its exit code.

    0 is success, 1 an error in one line on stderr, 2 wrong usage, 130 an interrupt.
    """
    invocation = Invocation()
    code = exit_code(list(sys.argv[1:] if arguments is None else arguments), invocation)
    if invocation.all_closed:
        os._exit(code)  # stdout has been flushed, stderr goes out line by line
    sys.exit(code)


def exit_code(arguments: list[str], invocation: Invocation | None = None) -> int:
    """Run `uhd` with `arguments` and return the exit code; no exception leaves it without `--debug`.

    `invocation` is filled in for `run`.
    """
    invocation = invocation or Invocation()
    try:
        code = uhd.main(arguments, prog_name="uhd", standalone_mode=False, obj=invocation)
        sys.stdout.flush()  # so that a full disk is noticed here, not at exit
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("uhd: interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()  # the reader (`| head`) has exited
        return OUR_ERROR
    except Exception as error:
        if invocation.debug:
            raise
        click.echo(f"uhd: {one_line(error)}", err=True)
        if isinstance(error, OSError):
            _silence_stdout()
        return OUR_ERROR
    return code if isinstance(code, int) else ANSWERED


def one_line(error: Exception) -> str:
    """Return an error in one line; one that was not raised on purpose is called unexpected."""
    message = " ".join(str(error).split())
    if isinstance(error, UhdError):
        return message
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'standard output'}: {error.strerror}"
    return f"unexpected {type(error).__name__}: {message}; run `uhd --debug ...` to see where"


def _silence_stdout() -> None:
    """Discard what could not be written, so that Python does not try again when it exits."""
    with suppress(io.UnsupportedOperation):  # a stdout that is not a file has nothing to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
