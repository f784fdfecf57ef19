"""Make INT8 graphs for a bundle, calibrated on pictures like those the device will see.

    pictures -> activations -> smoothing -> ranges -> Q/DQ graphs -> measure -> exclude layers -> report

Every choice is made by an error measured on pictures that were not used for calibration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uhd_edge.calibration.flavours import Prepared, settle
from uhd_edge.calibration.graphs.graph_files import (
    FullWeights,
    all_sites,
    graph_paths,
    has_graphs,
    int8_names,
    write_int8,
)
from uhd_edge.calibration.measure import Measurement
from uhd_edge.calibration.pictures import Pictures, find_pictures, split_pictures
from uhd_edge.calibration.plot import write_plot
from uhd_edge.calibration.ranges.activations import record_activations
from uhd_edge.calibration.ranges.plan import FLAVOURS
from uhd_edge.calibration.ranges.smoothing import Smoothing, choose_smoothing
from uhd_edge.calibration.report import Report, make_report
from uhd_edge.calibration.shipped.picture_set import write_pictures
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import Manifest
from uhd_edge.runtime.bundles.update import add_files, free_names, staging_folder
from uhd_edge.runtime.errors import CalibrationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from uhd_edge.calibration.flavours import Outcome
    from uhd_edge.calibration.ranges.activations import Recorded
    from uhd_edge.calibration.ranges.linears import Site
    from uhd_edge.calibration.ranges.plan import Flavour

    # Called with the name of each stage.
    Progress = Callable[[str], None]

REPORT, PLOT = "calibration.json", "calibration.png"


@dataclass(frozen=True)
class Calibrated:
    """The bundle with its INT8 graphs, and the report of the measurements."""

    bundle: Bundle
    report: Report


def calibrate_bundle(
    bundle: Bundle,
    sources: Sequence[str | Path] = (),
    *,
    max_slices: int | None = None,
    cosine: float = 0.0,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress = lambda _stage: None,
) -> Calibrated:
    """Add INT8 graphs of every mode to `bundle`, calibrated on the picture files and folders in `sources`.

    Without `sources`, the pictures that come with the package are used (see `shipped/`).

    The graphs for ONNX Runtime's CPU provider are always made. Those for TensorRT are based on
    FP16 graphs and are made if the bundle has them. INT8 graphs of an earlier calibration are
    replaced. `cosine` is a minimum for every view above the bundle's own threshold; reaching
    it leaves more layers unquantized.

    Raises `CalibrationError` for sources without pictures or a bundle without FP32 graphs,
    `ImageError` for an unreadable picture and `OutputError` if the bundle cannot be written; the
    bundle is then unchanged.
    """
    given = find_pictures(sources) if sources else []
    if not has_graphs(bundle, "fp32"):
        raise CalibrationError(f"{bundle.path}: INT8 calibration needs FP32 graphs; export with --precisions fp32,fp16")
    flavours = [flavour for flavour in FLAVOURS if has_graphs(bundle, flavour.base)]
    with staging_folder(bundle, progress) as folder:
        pictures = given or write_pictures(folder / "pictures", bundle.manifest.preprocessing.scale_resolution)
        calibrated_with, measured_on = split_pictures(pictures)
        progress(f"recording activations of {len(calibrated_with)} pictures")
        seen = record_activations(bundle, Pictures(tuple(calibrated_with), max_slices), seed=seed, threads=threads)
        progress(f"recording activations of {len(measured_on)} more pictures, to measure on")
        measurement = Measurement(bundle.manifest, Pictures(tuple(measured_on), max_slices), threads)
        unseen = record_activations(bundle, measurement.pictures, seed=seed, threads=threads)
        progress("smoothing")
        prepared = replace(_prepare(bundle, folder, measurement, seen, unseen), cosine=cosine)
        outcomes = {flavour: settle(prepared, flavour, progress) for flavour in flavours}
        progress("report")
        report = make_report(prepared, outcomes, calibrated_with, measured_on, shipped_pictures=not given)
        return Calibrated(_add(bundle, folder, outcomes, report), report)


def _prepare(bundle: Bundle, folder: Path, measurement: Measurement, seen: Recorded, unseen: Recorded) -> Prepared:
    sites, weights = all_sites(bundle), FullWeights(bundle)
    smoothing = {site.name: _smooth(site, weights, seen, unseen) for site in sites}
    exact = measurement.embed(graph_paths(bundle, "fp32"))
    return Prepared(bundle, folder, sites, weights, seen, unseen, smoothing, measurement, exact)


def _smooth(site: Site, weights: FullWeights, seen: Recorded, unseen: Recorded) -> Smoothing:
    if site.norm is None:
        return Smoothing(0.0, None)
    return choose_smoothing(seen.sites[site.name], weights.read_site(site), unseen.sites[site.name].sample)


def _add(bundle: Bundle, folder: Path, outcomes: Mapping[Flavour, Outcome], report: Report) -> Bundle:
    """Write the chosen graphs and the report, replacing the bundle's old INT8 graphs."""
    wanted = [REPORT, PLOT, *(name for flavour in outcomes for name in int8_names(bundle, flavour))]
    names = free_names(bundle, wanted)
    final = folder / "final"
    final.mkdir()
    changes = {}
    for flavour, outcome in outcomes.items():
        pairs = write_int8(bundle, outcome.plan, flavour, final, names)
        for mode, (encoder, connector) in pairs.items():
            changes[mode, flavour.kind] = bundle.manifest.graphs[mode][flavour.base].model_copy(
                update={"encoder": f"graphs/{encoder.name}", "connector": f"graphs/{connector.name}"}
            )
    (final / names[REPORT]).write_text(report.to_json(), encoding="utf-8")
    if not write_plot(report, final / names[PLOT]):
        del names[PLOT]
    files = {name: final / name.rpartition("/")[2] for name in names.values()}

    def change(manifest: Manifest) -> Manifest:
        graphs = {mode: {**by_kind} for mode, by_kind in manifest.graphs.items()}
        for (mode, kind), pair in changes.items():
            graphs[mode][kind] = pair
        kept = {name: record for name, record in manifest.files.items() if not _is_calibrated(name)}
        return manifest.model_copy(update={"graphs": graphs, "files": kept, "calibration": names[REPORT]})

    return add_files(bundle, files, change)


def _is_calibrated(name: str) -> bool:
    """Whether a file's name says that it comes from a calibration."""
    return name.startswith("calibration.") or "-int8" in name
