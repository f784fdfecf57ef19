"""Whether a bundle has what `uhd verify --simulate` computes, found out before minutes of other work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from uhd_edge.engines.extras import extra_needed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import GraphKind
    from uhd_edge.runtime.modes import Mode


def simulatable_kinds(bundle: Bundle, modes: Sequence[Mode]) -> list[GraphKind]:
    """List the kinds of graph for TensorRT that can be simulated and that `bundle` has for all `modes`."""
    with extra_needed("calibration", "--simulate"):
        from uhd_edge.calibration.simulation.simulate import KINDS
    return [kind for kind in KINDS if all(kind in bundle.manifest.graphs.get(mode, {}) for mode in modes)]


def require_simulatable(bundle: Bundle, precision: str, mode: str | None) -> None:
    """Raise `click.UsageError` if nothing of `bundle` can be simulated, or not the `precision` that was asked for.

    Its exit code is not that of a missed threshold. A mode that the bundle lacks is not judged here.
    """
    from uhd_edge.runtime.bundles.how_to_calibrate import how_to_calibrate

    modes: list[Mode] = [one for one in bundle.manifest.graphs if mode in (None, one)]
    there = {kind.partition("-")[0]: kind for kind in simulatable_kinds(bundle, modes)}
    named = precision if precision in ("int8", "fp8", "nvfp4") else None
    if not modes or (there if named is None else named in there):
        return
    what = (named or "int8").upper()
    kind: GraphKind = "fp8" if named == "fp8" else "nvfp4" if named == "nvfp4" else "int8-tensorrt"
    raise click.UsageError(
        f"--simulate computes graphs for TensorRT, and {bundle.path} has none in {what}; make them: "
        f"{how_to_calibrate(bundle.manifest, kind, bundle.path)}"
    )
