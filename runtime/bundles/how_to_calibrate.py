"""How graphs are made that a calibration makes, in the words of every message that says so."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.manifest import GraphKind, Manifest


def how_to_calibrate(manifest: Manifest, kind: GraphKind, bundle: str | Path) -> str:
    """Return the command that makes graphs of `kind`, to be pasted into a shell.

    A calibration replaces all that was calibrated before, so its options name what the bundle has, too.
    Where it lacks graphs that a calibration begins with, these come first. `bundle` is its folder or its name.
    """
    there = {kind, *(one for kinds in manifest.graphs.values() for one in kinds)}
    more = [one for one in ("fp8", "nvfp4") if one in there]
    options = f" --precision {','.join(['int8', *more])}" if more else ""
    first = "" if can_calibrate(manifest, kind) else "export the bundle with --precisions fp32,fp16 first, then "
    return f"{first}uhd calibrate {shlex.quote(str(bundle))}{options}"


def can_calibrate(manifest: Manifest, kind: GraphKind) -> bool:
    """Whether a bundle has the graphs, in all its modes, of which a calibration makes those of `kind`."""
    needed: tuple[GraphKind, ...] = ("fp32",) if kind == "int8" else ("fp32", "fp16")
    return all(one in kinds for kinds in manifest.graphs.values() for one in needed)
