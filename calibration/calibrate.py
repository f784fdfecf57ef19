"""Make INT8 and FP8 graphs for a bundle, calibrated on pictures like those the device will see.

    pictures -> activations -> smoothing -> ranges -> Q/DQ graphs -> measure -> exclude layers -> report

Every choice is made by an error measured on pictures that were not used for calibration.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from uhd_edge.calibration.flavours import RANGES_COST, settle
from uhd_edge.calibration.fp8 import settle_fp8, settle_nvfp4
from uhd_edge.calibration.graphs.graph_files import has_graphs, int8_names, write_int8
from uhd_edge.calibration.pictures import Pictures, find_pictures, split_pictures
from uhd_edge.calibration.plot import write_plot
from uhd_edge.calibration.prepared import ERRORS_COST, SMOOTHING_COST, prepare
from uhd_edge.calibration.ranges.plan import CALIBRATED_PRECISIONS, flavours_of
from uhd_edge.calibration.ranges.recording import RECORDING_COST
from uhd_edge.calibration.report import Report, make_report
from uhd_edge.calibration.shipped.picture_set import write_pictures
from uhd_edge.calibration.trials import SIMULATED_VIEWS, SIMULATION_COST, WRITING_COST
from uhd_edge.calibration.work import SILENT, Work, pass_cost
from uhd_edge.engines.checksums import compute_sha256
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import Manifest
from uhd_edge.runtime.bundles.update import add_files, free_names, resumable_folder
from uhd_edge.runtime.errors import CalibrationError, ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from uhd_edge.calibration.flavours import Outcome
    from uhd_edge.calibration.ranges.plan import CalibratedPrecision, Flavour
    from uhd_edge.calibration.work import Progress
    from uhd_edge.engines.unfinished import Tell
    from uhd_edge.runtime.bundles.manifest import Vision

SETTLING = {"int8": settle, "fp8": settle_fp8, "nvfp4": settle_nvfp4}

REPORT, PLOT = "calibration.json", "calibration.png"

# A tower of more weights is calibrated with some of the views: at most these in each mode.
LARGE_TOWER = 1e8
CALIBRATED_VIEWS, MEASURED_VIEWS = 24, 6


@dataclass(frozen=True)
class Calibrated:
    """The bundle with its quantized graphs, and the report of the measurements."""

    bundle: Bundle
    report: Report


def calibrate_bundle(
    bundle: Bundle,
    sources: Sequence[str | Path] = (),
    *,
    precisions: Sequence[CalibratedPrecision] = ("int8",),
    max_slices: int | None = None,
    cosine: float = 0.0,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress = SILENT,
    tell: Tell = lambda _line: None,
) -> Calibrated:
    """Add graphs of every mode in `precisions` to `bundle`, calibrated on the picture files and folders in `sources`.

    Without `sources`, the pictures that come with the package are used (see `shipped/`).

    INT8 graphs for ONNX Runtime's CPU provider are always made. Those for TensorRT are based on
    FP16 graphs and are made if the bundle has them; FP8 graphs are for TensorRT alone. All graphs of an
    earlier calibration are replaced. `cosine` is a minimum for every view above the bundle's own threshold; reaching
    it leaves more layers unquantized.

    Of a large tower's pictures, some views are used (see `most_views`). A run that was interrupted
    is continued if pictures and options are the same. `progress` gets the stage and the fraction
    done, `tell` a line about what killed runs left.

    Raises `CalibrationError` for sources without pictures or a bundle without the graphs that are needed,
    `ImageError` for an unreadable picture and `OutputError` if the bundle cannot be written; the
    bundle is then unchanged.
    """
    given = find_pictures(sources) if sources else []
    if not has_graphs(bundle, "fp32"):
        raise CalibrationError(f"{bundle.path}: INT8 calibration needs FP32 graphs; export with --precisions fp32,fp16")
    for wanted in precisions:
        if wanted != "int8" and not has_graphs(bundle, "fp16"):
            raise CalibrationError(
                f"{bundle.path}: {wanted.upper()} calibration needs FP16 graphs; export with --precisions fp32,fp16"
            )
    flavours = [flavour for flavour in flavours_of(precisions) if has_graphs(bundle, flavour.base)]
    key = _identity(bundle, given, max_slices, cosine, seed, *(flavour.kind for flavour in flavours))
    with resumable_folder(bundle, key, tell) as folder:
        pictures = given or write_pictures(folder / "pictures", bundle.manifest.preprocessing.scale_resolution)
        calibrated_with, measured_on = split_pictures(pictures)
        most_seen, most_unseen = most_views(bundle.manifest.vision)
        seen = Pictures(tuple(calibrated_with), max_slices, most_seen)
        unseen = Pictures(tuple(measured_on), max_slices, most_unseen)
        work = Work(_expected_work(bundle, seen, unseen, flavours), progress)
        smooth = "int8" in precisions
        prepared = prepare(
            bundle, folder, (seen, unseen), work, cosine=cosine, seed=seed, threads=threads, smooth=smooth
        )
        outcomes = {flavour: SETTLING[flavour.numbers](prepared, flavour) for flavour in flavours}
        work.begin("report")
        report = make_report(prepared, outcomes, calibrated_with, measured_on, shipped_pictures=not given)
        return Calibrated(_add(bundle, folder, outcomes, report), report)


def most_views(vision: Vision) -> tuple[int | None, int | None]:
    """Return how many views per mode to calibrate with and to measure on; None means all.

    Ranges hardly change after a few dozen views. A small tower is quick enough for all views;
    the real one takes seconds for each.
    """
    weights = 4 * vision.hidden_size**2 + 2 * vision.hidden_size * (vision.intermediate_size or 4 * vision.hidden_size)
    return (CALIBRATED_VIEWS, MEASURED_VIEWS) if weights * vision.layers > LARGE_TOWER else (None, None)


def _expected_work(bundle: Bundle, seen: Pictures, unseen: Pictures, flavours: Sequence[Flavour]) -> float:
    manifest = bundle.manifest
    modes = list(manifest.graphs)
    to_see, to_measure = (
        sum(pictures.count(manifest, mode) * pass_cost(manifest.vision, mode) for mode in modes)
        for pictures in (seen, unseen)
    )
    by_numbers = {
        "int8": 3 * (WRITING_COST + to_measure) + RANGES_COST + 2 * ERRORS_COST,
        "fp8": 2 * (WRITING_COST + to_measure + ERRORS_COST),
        "nvfp4": WRITING_COST + ERRORS_COST,
    }
    made = sum(by_numbers[flavour.numbers] for flavour in flavours)
    smoothed = SMOOTHING_COST if any(flavour.numbers == "int8" for flavour in flavours) else 0
    simulated = SIMULATION_COST * SIMULATED_VIEWS * sum(pass_cost(manifest.vision, mode) for mode in modes)
    simulations = sum(flavour.symmetric for flavour in flavours)
    return RECORDING_COST * (to_see + to_measure) + smoothed + made + simulations * simulated


def _identity(bundle: Bundle, pictures: Sequence[Path], *options: object) -> str:
    """Identify everything that the results of a calibration depend on."""
    digest = hashlib.sha256(f"{version('uhd-edge')} {bundle.manifest.model_dump_json()} {options}".encode())
    for picture in pictures:
        try:
            content = compute_sha256(picture)
        except OSError as error:
            raise ImageError(f"{picture}: cannot be read ({error.strerror})") from error
        digest.update(f"{picture} {content}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _add(bundle: Bundle, folder: Path, outcomes: Mapping[Flavour, Outcome], report: Report) -> Bundle:
    """Write the chosen graphs and the report, replacing those of an earlier calibration."""
    wanted = [REPORT, PLOT, *(name for flavour in outcomes for name in int8_names(bundle, flavour))]
    names = free_names(bundle, wanted)
    final = folder / "final"
    shutil.rmtree(final, ignore_errors=True)  # of a run that was interrupted while it wrote them
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
        graphs = {
            mode: {kind: pair for kind, pair in by_kind.items() if not _is_calibrated(pair.encoder)}
            for mode, by_kind in manifest.graphs.items()
        }
        for (mode, kind), pair in changes.items():
            graphs[mode][kind] = pair
        kept = {name: record for name, record in manifest.files.items() if not _is_calibrated(name)}
        return manifest.model_copy(update={"graphs": graphs, "files": kept, "calibration": names[REPORT]})

    return add_files(bundle, files, change)


def _is_calibrated(name: str) -> bool:
    """Whether a file's name says that it comes from a calibration."""
    return name.startswith("calibration.") or any(f"-{precision}" in name for precision in CALIBRATED_PRECISIONS)
