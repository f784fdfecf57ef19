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
    from uhd_edge.runtime.memory.need import MemoryNeed
    from uhd_edge.runtime.modes import Mode


def check_build_memory(
    bundle: Bundle, orders: Sequence[EngineOrder], target: Target, modes: Sequence[Mode], *, ignore: bool
) -> None:
    """Say what building, comparing and running `orders` takes; raises `EngineBuildError` when building cannot be.

    Engines for cards are built ahead of time and need no GPU.
    """
    from uhd_edge.runtime.memory.building import build_need, card_build_need
    from uhd_edge.runtime.memory.enough import require_memory
    from uhd_edge.runtime.memory.machine import machine_memory

    machine = machine_memory()
    is_shared = machine is not None and machine.is_shared
    need = build_need(bundle, orders, target, is_shared=is_shared)
    warning = require_memory(need, machine, "building", ignore=ignore)
    _say(warning or f"building takes about {need.describe()}")
    if target.backend == "tensorrt" and not is_shared:
        _say(f"building takes about {card_build_need(bundle, orders).describe()} of the card, not measured")
    if not is_shared:
        _say_what_a_card_runs(bundle, orders, modes)
        return
    for what, later in _later_needs(bundle, orders, modes).items():
        short = require_memory(later, machine, what, ignore=True)
        _say(short or f"{what} takes about {later.describe()}, not measured")


def predict_kit_memory(
    bundle: Bundle, orders: Sequence[EngineOrder], target: Target, modes: Sequence[Mode]
) -> KitMemory:
    """Predict what the kit's script will take on the device, and say it."""
    from uhd_edge.engines.building.kit import KitMemory
    from uhd_edge.runtime.memory.building import build_need
    from uhd_edge.runtime.memory.measured import SYSTEM

    needs = {"building": build_need(bundle, orders, target), **_later_needs(bundle, orders, modes)}
    for what, need in needs.items():
        _say(f"on the device, {what} takes about {need.describe()}, not measured")
    with_margin = {what: need.with_margin for what, need in needs.items()}
    return KitMemory(with_margin["building"], with_margin.get("verifying", 0), with_margin["running"], SYSTEM)


def _later_needs(bundle: Bundle, orders: Sequence[EngineOrder], modes: Sequence[Mode]) -> dict[str, MemoryNeed]:
    """What is needed once engines are built, where CPU and GPU share the memory."""
    from uhd_edge.runtime.checking.building import has_reference
    from uhd_edge.runtime.memory.building import verify_need
    from uhd_edge.runtime.memory.running import gpu_run_need

    running = max((gpu_run_need(bundle, one, modes) for one in _by_precision(orders)), key=lambda need: need.total)
    verifying = {"verifying": verify_need(bundle, modes)} if has_reference(bundle, modes) else {}
    return {**verifying, "running": running}


def _say_what_a_card_runs(bundle: Bundle, orders: Sequence[EngineOrder], modes: Sequence[Mode]) -> None:
    from uhd_edge.runtime.memory.running import card_run_needs

    needs = [card_run_needs(bundle, one, modes) for one in _by_precision(orders)]
    own, language_model = max(needs, key=lambda pair: pair[0].total)
    _say(
        f"running takes about {own.describe()} of the card, and {language_model.describe()} of where the language "
        "model is, card or machine; not measured"
    )


def _by_precision(orders: Sequence[EngineOrder]) -> list[list[EngineOrder]]:
    """Engines of one precision are open at a time."""
    return [[order for order in orders if order.precision == one] for one in {order.precision for order in orders}]


def _say(line: str) -> None:
    click.echo(f"uhd: {line}", err=True)
