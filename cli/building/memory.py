"""What `uhd build` says of memory before it starts, and when it does not start for lack of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.engines.building.build import EngineOrder
    from uhd_edge.engines.building.kit import KitMemory
    from uhd_edge.engines.building.targets import Target
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode


def check_build_memory(bundle: Bundle, orders: Sequence[EngineOrder], target: Target, *, ignore: bool) -> None:
    """Say what building `orders` on this machine takes; raises `EngineBuildError` when it cannot have that much."""
    from uhd_edge.runtime.memory.building import build_need
    from uhd_edge.runtime.memory.enough import require_memory
    from uhd_edge.runtime.memory.machine import machine_memory

    need = build_need(bundle, orders, target)
    if warning := require_memory(need, machine_memory(), "building", ignore=ignore):
        click.echo(f"uhd: {warning}", err=True)
    else:
        click.echo(f"uhd: building takes about {need.describe()}", err=True)


def predict_kit_memory(
    bundle: Bundle, orders: Sequence[EngineOrder], target: Target, modes: Sequence[Mode]
) -> KitMemory:
    """Predict what the kit's script will take on the device, and say it."""
    from uhd_edge.engines.building.kit import KitMemory
    from uhd_edge.runtime.checking.building import has_reference
    from uhd_edge.runtime.memory.building import build_need, verify_need

    needs = {"building": build_need(bundle, orders, target)}
    if has_reference(bundle, modes):
        needs["verifying"] = verify_need(bundle, modes)
    for what, need in needs.items():
        click.echo(f"uhd: on the device, {what} takes about {need.describe()}, not measured", err=True)
    totals = {what: need.total for what, need in needs.items()}
    return KitMemory(totals["building"], totals.get("verifying", 0))
