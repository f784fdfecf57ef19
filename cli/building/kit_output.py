"""Writing a kit, and saying what to do with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from uhd_edge.cli.building.memory import predict_kit_memory

if TYPE_CHECKING:
    from uhd_edge.engines.building.build import EngineOrder
    from uhd_edge.engines.building.targets import BuiltPrecision, Target
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode


class ShapeLimits(TypedDict):
    """What bounds the shapes of the engines; None is the bundle's and the runtime's own."""

    max_slices: int | None
    largest: int | None


def make_kit(
    bundle: Bundle,
    orders: list[EngineOrder],
    target: Target,
    modes: list[Mode],
    limits: ShapeLimits,
    *,
    jetpack: str | None,
    output: Path | None,
    faster: bool,
) -> None:
    """Write a kit of `orders` to `output`, or beside where the command runs, and print its path.

    With `faster`, its script times encoders with padded attention heads beside plain ones.
    """
    from uhd_edge.engines.building.kit import write_kit
    from uhd_edge.engines.building.kit_files import check_output
    from uhd_edge.engines.building.targets import find_jetpack
    from uhd_edge.runtime.checking.building import kit_contents

    release = find_jetpack(target, jetpack)
    place = Path(f"{bundle.path.resolve().name}-{target.name}-jetpack{release.version}") if output is None else output
    check_output(place)
    precisions: list[BuiltPrecision] = list(dict.fromkeys(order.precision for order in orders))
    contents = kit_contents(bundle, modes=modes, precisions=precisions, **limits)
    memory = predict_kit_memory(bundle, orders, target, modes)
    write_kit(place, contents, orders, target=target, jetpack=release, memory=memory, faster=faster, progress=_say)
    _say(f"copy it to the {target.device} and run ./build.sh there")
    click.echo(str(place))


def _say(step: str) -> None:
    click.echo(step, err=True)
