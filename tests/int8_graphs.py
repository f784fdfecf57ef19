"""INT8 graphs with ranges taken out of the air: shaped as calibrated ones are, in no time, and of no other use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.calibration.graph_files import all_sites, int8_names, write_int8
from uhd_edge.calibration.plan import FOR_TENSORRT, Flavour, Plan
from uhd_edge.calibration.rounding import Range
from uhd_edge.calibration.smoothing import Smoothing
from uhd_edge.runtime.bundle import Bundle, Graphs, Manifest, Mode
from uhd_edge.runtime.bundle_update import add_files

if TYPE_CHECKING:
    from pathlib import Path


def write_graphs_of(bundle: Bundle, flavour: Flavour, folder: Path) -> dict[Mode, tuple[Path, Path]]:
    """Write the INT8 graphs of `flavour` into `folder`; returns encoder and connector by mode."""
    folder.mkdir(parents=True, exist_ok=True)
    sites = [site.name for site in all_sites(bundle)]
    plan = Plan(dict.fromkeys(sites, Smoothing(0.0, None)), dict.fromkeys(sites, Range(-8.0, 6.0, "none")))
    return write_int8(bundle, plan, flavour, folder, {name: name for name in int8_names(bundle, flavour)})


def with_int8(bundle: Bundle) -> Bundle:
    """Add such graphs for TensorRT to `bundle`, unless it has INT8 graphs of its own."""
    if all("int8-tensorrt" in by_kind for by_kind in bundle.manifest.graphs.values()):
        return bundle
    folder = bundle.path / "new"
    written = write_graphs_of(bundle, FOR_TENSORRT, folder)

    def change(manifest: Manifest) -> Manifest:
        graphs = {mode: dict(by_kind) for mode, by_kind in manifest.graphs.items()}
        for mode, (encoder, connector) in written.items():
            graphs[mode]["int8-tensorrt"] = Graphs(
                encoder=f"graphs/{encoder.name}", connector=f"graphs/{connector.name}"
            )
        return manifest.model_copy(update={"graphs": graphs})

    try:
        return add_files(bundle, {f"graphs/{file.name}": file for file in folder.iterdir()}, change)
    finally:
        folder.rmdir()
