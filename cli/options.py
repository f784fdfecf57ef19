"""The options that commands share: how a bundle is opened, and how a question is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import click

from uhd_edge.cli.images import own_modes
from uhd_edge.cli.schema import schema_in, schema_option
from uhd_edge.engines.names import ENGINE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from uhd_edge.runtime.assistant import Assistant
    from uhd_edge.runtime.options import AskOptions

    Command = TypeVar("Command", bound=Callable[..., object])

# The settings of `Assistant` and of a question, by the names of their options.
OPENING = ("mode", "max_slices", "engine", "precision", "context", "threads", "gpu_layers")
WRITING = (
    "max_tokens",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "seed",
    "think",
    "think_tokens",
)
ANSWERING = (*WRITING, "mode", "max_slices", "budget_ms", "budget_share")


def parse_gpu_layers(text: str) -> int | Literal["auto"]:
    """Parse a number of layers or `auto`; `all` is -1, as in llama.cpp."""
    if text == "auto":
        return "auto"
    if text == "all":
        return -1
    if not text.isdecimal():
        raise click.BadParameter(f"{text!r} is neither a number nor `all` nor `auto`")
    return int(text)


_OPENING_OPTIONS = (
    click.option(
        "--bundle",
        metavar="NAME|DIR",
        help="Model in `uhd list`, or a bundle made by `uhd export`.  [default: the built-in uhd-tiny]",
    ),
    click.option("--mode", type=click.Choice(["16x", "4x"]), help="How much the vision tokens are compressed."),
    click.option("--max-slices", type=click.IntRange(min=1), metavar="N", help="Most slices an image is cut into."),
    click.option(
        "--engine",
        type=click.Choice(ENGINE_NAMES),
        default="auto",
        show_default=True,
        help="Engine that runs the vision graphs.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["auto", "fp32", "fp16", "int8", "fp8", "nvfp4"]),
        default="auto",
        show_default=True,
        help="Precision of the vision graphs.",
    ),
    click.option(
        "--context",
        type=click.IntRange(min=1),
        default=4096,
        show_default=True,
        help="Most tokens of prompt and answer together.",
    ),
    click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Threads.  [default: the usable cores]"),
    click.option(
        "--gpu-layers",
        type=parse_gpu_layers,
        default="auto",
        show_default=True,
        metavar="auto|N|all",
        help="Layers of the language model to put on a GPU; auto is all where llama.cpp finds one.",
    ),
)

max_frames_option = click.option(
    "--max-frames",
    type=click.IntRange(1, 10_000),
    default=128,
    show_default=True,
    metavar="N",
    help="Most frames of a video.",
)

stack_frames_option = click.option(
    "--stack-frames",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    metavar="N",
    help="Frames of a video to look at in a second, all but the first in one picture.",
)

budget_share_option = click.option(
    "--budget-share",
    type=click.FloatRange(0.5, 0.99),
    default=0.95,
    show_default=True,
    metavar="SHARE",
    help="How many of the promised questions are to keep the budget.",
)

_WRITING_OPTIONS = (
    click.option(
        "--max-tokens", type=click.IntRange(min=1), default=256, show_default=True, help="Most tokens of the answer."
    ),
    click.option(
        "--temperature", type=float, default=0.0, show_default=True, help="0 always takes the likeliest token."
    ),
    click.option(
        "--top-k", type=int, default=0, show_default=True, help="Sample from the K likeliest tokens; 0 is off."
    ),
    click.option(
        "--top-p",
        type=float,
        default=1.0,
        show_default=True,
        help="Sample from the likeliest tokens that together have this probability.",
    ),
    click.option(
        "--min-p",
        type=float,
        default=0.0,
        show_default=True,
        help="Sample from tokens at least this probable, relative to the likeliest.",
    ),
    click.option(
        "--repetition-penalty", type=float, default=1.0, show_default=True, help="Above 1 makes repetition less likely."
    ),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the sampling."),
    schema_option,
    click.option(
        "--think/--no-think",
        default=None,
        help="Let the model think first, or not.  [default: what its chat template does]",
    ),
    click.option(
        "--think-tokens",
        type=click.IntRange(min=0),
        default=1024,
        show_default=True,
        metavar="N",
        help="Most tokens of its thoughts.",
    ),
)


_BUDGET_OPTIONS = (
    click.option(
        "--budget-ms",
        type=float,
        metavar="MS",
        help="Choose slices, and the mode unless --mode is given, to reach the first token within MS milliseconds.",
    ),
    budget_share_option,
)


def opening_options(command: Command) -> Command:
    """Add the options of opening a bundle to a command; see `open_assistant`."""
    return _with(command, _OPENING_OPTIONS)


def answering_options(command: Command) -> Command:
    """Add the options of a question to a command; see `ask_options`."""
    return _with(command, (*_WRITING_OPTIONS, *_BUDGET_OPTIONS))


def writing_options(command: Command) -> Command:
    """Add the options of a question without a budget to a command; their names are `WRITING`."""
    return _with(command, _WRITING_OPTIONS)


def open_assistant(given: Mapping[str, Any], images: Sequence[str] = ()) -> Assistant:
    """Open an assistant for `images` as the options of `opening_options` say; with a budget, measure the machine too.

    Raises `EngineUnavailableError` first, where the bundle lacks a mode that an image has of its own.
    """
    from uhd_edge.runtime.assistant import Assistant
    from uhd_edge.runtime.bundles.bundle import Bundle

    bundle = Bundle.open(given["bundle"])
    own_modes(images, bundle)
    assistant = Assistant(bundle, **{name: given[name] for name in OPENING})
    if given.get("budget_ms") is not None:
        try:
            measure(assistant, images)
        except BaseException:
            assistant.close()
            raise
    return assistant


def measure(assistant: Assistant, images: Sequence[str]) -> None:
    """Measure the machine, and say so, once the engines for every mode that `images` have of their own are open."""
    for mode in sorted(own_modes(images, assistant.bundle)):
        assistant.encoder.open_mode(mode)
    assistant.measure(lambda step: click.echo(f"uhd: {step}", err=True))


def ask_options(given: Mapping[str, Any]) -> AskOptions:
    """Return the options of `answering_options` as `AskOptions`; raises `SchemaError` for an invalid schema."""
    chosen = {**{name: given[name] for name in ANSWERING}, "schema": schema_in(given["schema"])}
    return cast("AskOptions", chosen)


def _with(command: Command, options: tuple[Callable[[Command], Command], ...]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
