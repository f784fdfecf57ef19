"""INT8 graphs for random weights: as fast as calibrated ones, but made in a tenth of the time.

They are for measuring speed and memory only. Bundles with real weights are calibrated by
`uhd_edge.calibration.calibrate`, which needs the user's pictures, compares several rounding
methods and measures the loss of each. Here the ranges come from one synthetic picture, and
nothing is compared, because the answers are noise anyway. The same products are quantized: all
in the vision tower, none in the connector.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from uhd_edge.calibration.graphs.graph_files import all_sites, has_graphs, int8_names, write_int8
from uhd_edge.calibration.pictures import Pictures
from uhd_edge.calibration.prepared import TOWER
from uhd_edge.calibration.ranges.plan import FLAVOURS, QuantizationPlan
from uhd_edge.calibration.ranges.ranges import full_range
from uhd_edge.calibration.ranges.recording import Recording, record_activations
from uhd_edge.calibration.ranges.smoothing import Smoothing
from uhd_edge.calibration.work import Work
from uhd_edge.export.disk_space import check_disk_space
from uhd_edge.runtime.bundles.update import add_files, free_names, staging_folder
from uhd_edge.runtime.images.synthetic_pictures import shapes

if TYPE_CHECKING:
    from uhd_edge.engines.unfinished import Tell
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import Manifest

BYTES_A_WEIGHT = 1.5  # for each kind of INT8 graph; more than 1, because the connector is not quantized


def add_random_int8(bundle: Bundle, *, weights: int, threads: int | None, progress: Tell) -> Bundle:
    """Add every kind of INT8 graph that calibration would make to `bundle`, which has `weights` random weights.

    Leftovers of killed runs are removed; `progress` is called with a line about each.

    Raises `OutputError` if the disk has too little space or the bundle cannot be written.
    """
    flavours = [flavour for flavour in FLAVOURS if has_graphs(bundle, flavour.base)]
    with staging_folder(bundle, progress) as folder:
        check_disk_space(folder, int(weights * BYTES_A_WEIGHT * len(flavours)))
        plan = _plan(bundle, threads)
        names = free_names(bundle, [name for flavour in flavours for name in int8_names(bundle, flavour)])
        written = {flavour.kind: write_int8(bundle, plan, flavour, folder, names) for flavour in flavours}

        def change(manifest: Manifest) -> Manifest:
            graphs = {mode: {**by_kind} for mode, by_kind in manifest.graphs.items()}
            for kind, by_mode in written.items():
                for mode, (encoder, connector) in by_mode.items():
                    graphs[mode][kind] = graphs[mode]["fp32"].model_copy(
                        update={"encoder": f"graphs/{encoder.name}", "connector": f"graphs/{connector.name}"}
                    )
            return manifest.model_copy(update={"graphs": graphs})

        return add_files(bundle, {name: folder / Path(name).name for name in names.values()}, change)


def _plan(bundle: Bundle, threads: int | None) -> QuantizationPlan:
    """Make a plan with the full ranges of one view of a synthetic picture. The connector is not quantized."""
    side = bundle.manifest.preprocessing.scale_resolution
    with TemporaryDirectory() as folder:
        file = Path(folder, "shapes.png")
        shapes(side, side).save(file)
        seen = record_activations(
            bundle, Pictures((file,), max_slices=1), seed=0, threads=threads, recording=Recording(Work(1.0))
        )
    sites = all_sites(bundle)
    linears = [linear.name for site in sites for linear in site.linears]
    return QuantizationPlan(
        smoothing={site.name: Smoothing(0.0, None) for site in sites},
        ranges={site.name: full_range(seen.sites[site.name]) for site in sites},
        kept=tuple(name for name in linears if not name.startswith(TOWER)),
    )
