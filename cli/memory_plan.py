"""What `uhd plan --memory` prints: settings that fit, and the commands that use the best of them."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any, cast

import click

from uhd_edge.cli.bundle import one_bundle
from uhd_edge.cli.unused import was_given
from uhd_edge.runtime.checking.counted import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import GraphKind
    from uhd_edge.runtime.memory.fitting import FittedSettings, MemoryTarget, Pinned

MEMORY_TARGETS = ("cpu", "orin", "thor")


def print_memory_plan(
    arguments: Sequence[str], memory: str, target: str, given: Mapping[str, Any], *, as_json: bool
) -> None:
    """Print the settings that fit into `memory` of a `target`; raises `OptionError` for what those cannot be.

    Where nothing fits, what was tried is printed, and the error says what would. `given` are the options of
    opening a bundle: what was typed of them holds in every line.
    """
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.errors import OptionError
    from uhd_edge.runtime.memory.fitting import choose_settings, fit_settings
    from uhd_edge.runtime.memory.machine import usable_memory
    from uhd_edge.runtime.memory.written_size import parse_memory

    if len(arguments) > 1:
        raise click.UsageError(f"--memory is planned for one bundle; {len(arguments)} arguments were given")
    size = parse_memory("--memory", memory)
    if target not in MEMORY_TARGETS:
        raise OptionError(
            f"--target is {target!r}; --memory is planned for {', '.join(MEMORY_TARGETS)}: an RTX card has its own"
        )
    opened = Bundle.open(one_bundle(next(iter(arguments), None), given["bundle"]))
    pinned = _pinned(given)
    found = fit_settings(opened, size, cast("MemoryTarget", target), pinned)
    chosen, usable = choose_settings(found), usable_memory(size)
    if as_json:
        settings = [one.to_dict() for one in found]
        best = None if chosen is None else chosen.to_dict()
        click.echo(json.dumps({"memory": size, "usable": usable, "settings": settings, "chosen": best}))
    else:
        click.echo("\n".join(_table(found, chosen)))
    if chosen is None:
        raise OptionError(
            f"{_why_nothing_fits(found, memory, pinned)}{_what_takes_less(opened, target, found, pinned)}"
        )
    if not as_json:
        click.echo("\n".join(["", _assumptions(size, target), f"> {_largest_part(chosen)}", ""]))
        click.echo("\n".join(_commands(opened, chosen, target, pinned)))


def _pinned(given: Mapping[str, Any]) -> Pinned:
    from uhd_edge.runtime.memory.fitting import Pinned

    return Pinned(
        mode=given["mode"],
        precision=None if given["precision"] == "auto" else given["precision"],
        max_slices=given["max_slices"],
        context=given["context"] if was_given("context") else None,
    )


def _as_options(pinned: Pinned) -> str:
    """Write what is pinned as it was typed, such as `--mode 4x --context 2048`."""
    values = {"mode": pinned.mode, "precision": pinned.precision}
    numbers = {"max-slices": pinned.max_slices, "context": pinned.context}
    return " ".join(f"--{name} {value}" for name, value in {**values, **numbers}.items() if value is not None)


def _table(found: Sequence[FittedSettings], chosen: FittedSettings | None) -> Iterator[str]:
    from uhd_edge.runtime.memory.need import gigabytes

    names = tuple(found[0].needs)
    needs = "".join(f"  {name:>8}" for name in names)
    yield f" precision  modes   max slices  largest view  context  language model{needs}  fits"
    for one in found:
        numbers = "".join(f"  {gigabytes(one.needs[name].total):>8}" for name in names if name in one.needs)
        yield (
            f"{'>' if one is chosen else ' '}{one.precision:<9}  {','.join(one.modes):<6}"
            f"  {one.max_slices:>10}  {one.largest_view:>12}"
            f"  {one.context:>7}  {one.language_model:<14}{numbers}  {'yes' if one.fits else 'no'}"
        )


def _assumptions(size: int, target: str) -> str:
    from uhd_edge.runtime.memory.machine import usable_memory
    from uhd_edge.runtime.memory.need import MARGIN, gigabytes

    shared = "" if target == "cpu" else ", shared by CPU and GPU; nothing was measured on a Jetson"
    return (
        f"of {gigabytes(size)}, {gigabytes(usable_memory(size))} are assumed to be free without a desktop{shared}; "
        f"{MARGIN:.0%} is kept as a margin"
    )


def _why_nothing_fits(found: Sequence[FittedSettings], memory: str, pinned: Pinned) -> str:
    """Say what the smallest settings take, and the memory that they fit into, as --memory takes it."""
    from uhd_edge.runtime.memory.need import MARGIN, gigabytes

    least = min(found, key=lambda one: one.fits_from)
    what, need = max(least.needs.items(), key=lambda item: item[1].total)
    beside = f" with {options}" if (options := _as_options(pinned)) else ""
    return (
        f"--memory {memory.strip()}: nothing fits{beside}; the smallest setting, {least.precision} in "
        f"{','.join(least.modes)} with {counted(least.context, 'token')} and a {least.language_model} language model, "
        f"takes {gigabytes(need.total)} to {what}, which fits into {_rounded_up(least.fits_from)}, with the system and "
        f"{MARGIN:.0%} as a margin"
    )


def _what_takes_less(bundle: Bundle, target: str, found: Sequence[FittedSettings], pinned: Pinned) -> str:
    """Name INT8 to those who have not calibrated, and can."""
    from uhd_edge.runtime.bundles.how_to_calibrate import can_calibrate, how_to_calibrate

    kind: GraphKind = "int8" if target == "cpu" else "int8-tensorrt"
    is_there = any(one.precision == "int8" for one in found)
    if pinned.precision is not None or is_there or not can_calibrate(bundle.manifest, kind):
        return ""
    return f"; INT8 can take less, and `{how_to_calibrate(bundle.manifest, kind, bundle.path)}` adds it"


def _rounded_up(size: int) -> str:
    """Write bytes in gigabytes with two digits, never fewer than there are."""
    return f"{-(-size // 10**7) / 100:.2f}GB"


def _largest_part(chosen: FittedSettings) -> str:
    name, need = max(chosen.needs.items(), key=lambda item: item[1].total)
    return f"to {name} takes most: {need.describe()}"


def _commands(bundle: Bundle, chosen: FittedSettings, target: str, pinned: Pinned) -> Iterator[str]:
    """The command lines that use these settings."""
    folder = shlex.quote(str(bundle.path))
    if not chosen.is_own:
        yield f"uhd export CHECKPOINT BUNDLE --llm-type {chosen.language_model}"
        folder = "BUNDLE"
    if target == "cpu":
        where = f"--bundle {folder} --engine onnxruntime --precision {chosen.precision}"
    else:
        yield (
            f"uhd build {folder} --target {target} --precision {chosen.precision} --modes {','.join(chosen.modes)} "
            f"--max-slices {chosen.max_slices} --largest-view {chosen.largest_view} --output kit"
        )
        yield "kit/build.sh photo.jpg    # on the Jetson, where kit/ was copied and its README.txt was followed"
        where = "--bundle kit/bundle"
    mode = f" --mode {chosen.modes[0]}" if len(chosen.modes) == 1 else ""
    slices = "" if pinned.max_slices is None else f" --max-slices {pinned.max_slices}"
    yield f'uhd ask photo.jpg "What is on the table?" {where}{mode}{slices} --context {chosen.context}'
