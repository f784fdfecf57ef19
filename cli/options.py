"""The options that commands share: what a bundle is opened with, and what is set for its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from uhd_edge.cli.schema import schema_in, schema_option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from uhd_edge.runtime.assistant import Assistant

    Command = TypeVar("Command", bound=Callable[..., object])

# What `Assistant` takes beside the bundle, and what a question takes, under the names of the options.
OPENING = ("mode", "max_slices", "engine", "precision", "context", "threads", "gpu_layers")
ANSWERING = (
    "max_tokens",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "seed",
    "mode",
    "max_slices",
    "budget_ms",
)


def gpu_layers_of(text: str) -> int:
    """A number of layers, or `all`, which becomes -1 as llama.cpp counts."""
    if text == "all":
        return -1
    if not text.isdecimal():
        raise click.BadParameter(f"{text!r} is neither a number nor `all`")
    return int(text)


_OPENING_OPTIONS = (
    click.option("--bundle", metavar="DIR", help="Bundle made by `uhd export`; without it the built-in uhd-tiny."),
    click.option("--mode", type=click.Choice(["16x", "4x"]), help="Compression of the vision tokens."),
    click.option("--max-slices", type=click.IntRange(min=1), metavar="N", help="Most slices an image is cut into."),
    click.option(
        "--engine",
        type=click.Choice(["auto", "onnxruntime", "openvino", "tensorrt", "tensorrt-rtx"]),
        default="auto",
        show_default=True,
        help="What runs the vision graphs.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["auto", "fp32", "fp16", "int8"]),
        default="auto",
        show_default=True,
        help="Precision of the vision graphs.",
    ),
    click.option("--context", type=click.IntRange(min=1), default=4096, show_default=True, help="Context in tokens."),
    click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Threads; the usable cores without it."),
    click.option(
        "--gpu-layers",
        type=gpu_layers_of,
        default="0",
        show_default=True,
        metavar="N|all",
        help="Layers of the language model to put on a GPU.",
    ),
)

max_frames_option = click.option(
    "--max-frames",
    type=click.IntRange(1, 10_000),
    default=128,
    show_default=True,
    metavar="N",
    help="Most frames of a video to look at.",
)

_ANSWERING_OPTIONS = (
    click.option("--max-tokens", type=click.IntRange(min=1), default=256, show_default=True, help="Longest answer."),
    click.option(
        "--temperature", type=float, default=0.0, show_default=True, help="0 always takes the likeliest token."
    ),
    click.option("--top-k", type=int, default=0, show_default=True, help="Sample among the K likeliest; 0 is off."),
    click.option(
        "--top-p", type=float, default=1.0, show_default=True, help="Sample among the likeliest P of the mass."
    ),
    click.option("--min-p", type=float, default=0.0, show_default=True, help="Least probability relative to the best."),
    click.option("--repetition-penalty", type=float, default=1.0, show_default=True, help="Over 1 avoids repeating."),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed for sampling."),
    click.option(
        "--budget-ms",
        type=float,
        metavar="MS",
        help="Choose slices, and the mode without --mode, so that the first token comes within MS milliseconds.",
    ),
    schema_option,
)


def opening_options(command: Command) -> Command:
    """Give a command the options that a bundle is opened with, see `open_assistant`."""
    return _with(command, _OPENING_OPTIONS)


def answering_options(command: Command) -> Command:
    """Give a command the options of a question, see `ask_options`."""
    return _with(command, _ANSWERING_OPTIONS)


def open_assistant(given: Mapping[str, Any]) -> Assistant:
    """Open an assistant with what the options of `opening_options` say, and measure it where there is a budget."""
    from uhd_edge.runtime.assistant import Assistant
    from uhd_edge.runtime.bundles.bundle import Bundle

    assistant = Assistant(Bundle.open(given["bundle"]), **{name: given[name] for name in OPENING})
    if given.get("budget_ms") is not None:
        try:
            assistant.measure(lambda step: click.echo(f"uhd: {step}", err=True))
        except BaseException:
            assistant.close()
            raise
    return assistant


def ask_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options of `answering_options` say, as `AskOptions`; raises `SchemaError` for a bad schema."""
    return {**{name: given[name] for name in ANSWERING}, "schema": schema_in(given["schema"])}


def _with(command: Command, options: tuple[Callable[[Command], Command], ...]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
