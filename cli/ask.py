"""`uhd ask`: a question about one or several images."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from uhd_edge.cli.schema import schema_in, schema_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.assistant import Assistant

STANDARD_INPUT = "-"


def gpu_layers_of(text: str) -> int:
    """A number of layers, or `all`, which becomes -1 as llama.cpp counts."""
    if text == "all":
        return -1
    if not text.isdecimal():
        raise click.BadParameter(f"{text!r} is neither a number nor `all`")
    return int(text)


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.argument("question")
@click.option("--bundle", metavar="DIR", help="Bundle made by `uhd export`; without it the built-in uhd-tiny.")
@click.option("--mode", type=click.Choice(["16x", "4x"]), help="Compression of the vision tokens.")
@click.option("--max-slices", type=click.IntRange(min=1), metavar="N", help="Most slices an image is cut into.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "onnxruntime", "tensorrt", "tensorrt-rtx"]),
    default="auto",
    show_default=True,
    help="What runs the vision graphs.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "fp16", "int8"]),
    default="auto",
    show_default=True,
    help="Precision of the vision graphs.",
)
@click.option("--max-tokens", type=click.IntRange(min=1), default=256, show_default=True, help="Longest answer.")
@click.option("--temperature", type=float, default=0.0, show_default=True, help="0 always takes the likeliest token.")
@click.option("--top-k", type=int, default=0, show_default=True, help="Sample among the K likeliest; 0 is off.")
@click.option("--top-p", type=float, default=1.0, show_default=True, help="Sample among the likeliest P of the mass.")
@click.option("--min-p", type=float, default=0.0, show_default=True, help="Least probability relative to the best.")
@click.option("--repetition-penalty", type=float, default=1.0, show_default=True, help="Over 1 avoids repeating.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed for sampling.")
@click.option("--context", type=click.IntRange(min=1), default=4096, show_default=True, help="Context in tokens.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Threads; the usable cores without it.")
@click.option(
    "--gpu-layers",
    type=gpu_layers_of,
    default="0",
    show_default=True,
    metavar="N|all",
    help="Layers of the language model to put on a GPU.",
)
@schema_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with usage, views and timings.")
def ask(
    images: tuple[str, ...],
    question: str,
    *,
    bundle: str | None,
    mode: str | None,
    max_slices: int | None,
    engine: str,
    precision: str,
    max_tokens: int,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    repetition_penalty: float,
    seed: int,
    context: int,
    threads: int | None,
    gpu_layers: int,
    schema: str | None,
    as_json: bool,
) -> None:
    """Ask QUESTION about one or several images; `-` reads an image from standard input."""
    from uhd_edge.runtime.assistant import Assistant
    from uhd_edge.runtime.bundle import Bundle

    request: dict[str, Any] = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "repetition_penalty": repetition_penalty,
        "seed": seed,
        "schema": schema_in(schema),
    }
    with Assistant(
        Bundle.open(bundle),
        mode=mode,  # type: ignore[arg-type]  # click has checked the choices
        max_slices=max_slices,
        engine=engine,  # type: ignore[arg-type]
        precision=precision,  # type: ignore[arg-type]
        context=context,
        threads=threads,
        gpu_layers=gpu_layers,
    ) as assistant:
        inputs = [_image_input(image) for image in images]
        if as_json:
            answer = _as_object(assistant.ask(inputs, question, **request), with_parsed=schema is not None)
            answer["opening_ms"] = _rounded(assistant.opening)
            click.echo(json.dumps(answer, ensure_ascii=False))
        elif request["schema"] is not None:  # whole or not at all
            click.echo(assistant.ask(inputs, question, **request).text)
        else:
            _print_pieces(assistant, inputs, question, request)
        for note in assistant.notes:
            click.echo(f"uhd: {note}", err=True)
    click.get_current_context().obj.all_closed = True


def _image_input(image: str) -> str | bytes:
    """Raises `ImageError` for standard input that is closed."""
    from uhd_edge.runtime.errors import ImageError

    if image != STANDARD_INPUT:
        return image
    if sys.stdin is None or sys.stdin.closed:
        raise ImageError("standard input is closed; pipe an image into it, or name a file instead of `-`")
    return sys.stdin.buffer.read()


def _print_pieces(assistant: Assistant, images: list[str | bytes], question: str, request: dict[str, Any]) -> None:
    """Print as the text comes, but from its first word on, as in the whole answer."""
    begun = False
    for piece in assistant.stream(images, question, **request):
        shown = piece if begun else piece.lstrip()
        begun = begun or bool(shown)
        click.echo(shown, nl=False)
        sys.stdout.flush()
    click.echo()


def _as_object(answer: Answer, *, with_parsed: bool) -> dict[str, Any]:
    shown = {
        "answer": answer.text,
        "finish_reason": answer.finish_reason,
        "usage": asdict(answer.usage),
        "views": [asdict(view) for view in answer.views],
        "timings_ms": _rounded(answer.timings),
    }
    return {**shown, "parsed": answer.parsed} if with_parsed else shown


def _rounded(timings: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(milliseconds, 3) for stage, milliseconds in timings.items()}
