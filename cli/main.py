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

# In the order of `uhd --help`, with what it says of them; each is the function of this name in the
# file of this name.
COMMANDS = {
    "ask": "Ask a question about images or videos.",
    "chat": "Talk about images on the terminal.",
    "serve": "Answer requests of OpenAI's chat-completions API.",
    "plan": "List the ways to look at an image, and the time each takes.",
    "export": "Make a bundle out of a checkpoint.",
    "calibrate": "Add INT8 graphs to a bundle, calibrated on your pictures.",
    "build": "Build TensorRT engines out of a bundle's graphs.",
    "verify": "Compare a bundle's engine with FP32.",
    "bench": "Time every stage of an answer on this machine.",
    "flops": "Count the operations of encoding a picture.",
    "inspect": "Show what a bundle holds, and check its files.",
    "doctor": "Show what this machine can run, and how to get what is missing.",
}

ANSWERED = 0
OUR_ERROR = 1
INTERRUPTED = 130


@dataclass
class Invocation:
    """What the options that every command shares have set, and what the command says when it ends.

    `all_closed` means that nothing is left to be put away, so that the process may end at
    once. Taking the interpreter and the native libraries apart takes as long as importing
    numpy did.
    """

    debug: bool = False
    all_closed: bool = False


class Commands(click.Group):
    """The commands, each imported from the file of its name when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of `uhd --help`."""
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(f"uhd_edge.cli.commands.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Name the commands and say what each does, whole and without importing any."""
        others = {name: self.commands[name].get_short_help_str() for name in super().list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items(), *others.items()])


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    from uhd_edge.runtime.version import installed_version

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
    """Run `uhd` and leave the process with its exit code.

    0 answered, 1 an error of ours in one line on stderr, 2 wrong usage, 130 interrupted.
    """
    invocation = Invocation()
    code = exit_code(list(sys.argv[1:] if arguments is None else arguments), invocation)
    if invocation.all_closed:
        os._exit(code)  # stdout has been flushed, stderr goes out line by line
    sys.exit(code)


def exit_code(arguments: list[str], invocation: Invocation | None = None) -> int:
    """Run `uhd` with `arguments`; the exit code instead of an exception, whatever happens.

    What the command leaves behind for `run` is told to `invocation`.
    """
    invocation = invocation or Invocation()
    try:
        code = uhd.main(arguments, prog_name="uhd", standalone_mode=False, obj=invocation)
        sys.stdout.flush()  # so that a full disk is noticed here and not at exit
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("uhd: interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()  # the reader (`| head`) has gone
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
    """An error in one line; one that was not raised on purpose is named as such."""
    message = " ".join(str(error).split())
    if isinstance(error, UhdError):
        return message
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'standard output'}: {error.strerror}"
    return f"unexpected {type(error).__name__}: {message}; run `uhd --debug ...` to see where"


def _silence_stdout() -> None:
    """What could not be written is not tried again when Python flushes at exit."""
    with suppress(io.UnsupportedOperation):  # a stdout that is no file has nothing to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
