"""What every kind of quantized graph is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.calibration.graphs.graph_files import FullWeights, all_sites
from uhd_edge.calibration.measure import Measurement
from uhd_edge.calibration.ranges.fp8 import fp8_scale, round_to_fp8
from uhd_edge.calibration.ranges.layer_error import (
    layer_errors,
    multiplied,
    product_errors,
    products,
    rounded_to_fp8,
    rounded_to_nvfp4,
    rounded_weights,
)
from uhd_edge.calibration.ranges.nvfp4 import nvfp4_scale, round_to_nvfp4
from uhd_edge.calibration.ranges.recording import Recording, record_activations
from uhd_edge.calibration.ranges.smoothing import Smoothing, choose_smoothing, smoothing_factors
from uhd_edge.calibration.saved_work import SavedWork
from uhd_edge.runtime.bundles.manifest import Threshold
from uhd_edge.runtime.checking.counted import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from uhd_edge.calibration.pictures import Pictures
    from uhd_edge.calibration.ranges.activations import Activations, Recorded
    from uhd_edge.calibration.ranges.linears import Site
    from uhd_edge.calibration.ranges.plan import Flavour, QuantizationPlan
    from uhd_edge.calibration.work import Work
    from uhd_edge.runtime.bundles.bundle import Bundle

# In the units of `Work`: two products of the sampled rows with every weight, and rounding.
ERRORS_COST = 2.0
SMOOTHING_COST = 8.0  # nine products for each of them

# The threshold must hold on new pictures, so this share of the loss it allows is kept in reserve.
RESERVE = 0.2

TOWER = "vision_tower."  # prefix of the names of its linears


@dataclass(frozen=True, eq=False)
class Prepared:
    """The inputs for every kind of graph; `folder` is for temporary files, `exact` holds the FP32 embeddings."""

    bundle: Bundle
    folder: Path
    sites: Sequence[Site]
    weights: FullWeights
    seen: Recorded
    unseen: Recorded
    smoothing: Mapping[str, Smoothing]
    measurement: Measurement
    saved: SavedWork
    work: Work
    cosine: float = 0.0

    @property
    def exact(self) -> Mapping[str, NDArray[np.float32]]:
        """The FP32 embeddings of the views to measure on, by their names."""
        return self.unseen.embeddings

    def threshold(self, flavour: Flavour) -> Threshold:
        """The bundle's threshold for graphs of `flavour`."""
        thresholds = self.bundle.manifest.thresholds
        threshold: Threshold = getattr(thresholds, flavour.numbers)
        return threshold

    def goal(self, flavour: Flavour) -> Threshold:
        """The required agreement: the bundle's threshold plus a reserve, or `cosine` if that is higher."""
        asked = self.threshold(flavour)
        cosine = max(_stricter(asked.cosine), self.cosine)
        return Threshold(cosine=cosine, token_cosine=_stricter(asked.token_cosine))

    def activations(self, site: Site, smoothing: Smoothing) -> Activations:
        """Return the smoothed activations of `site` on the calibration pictures."""
        return _divided(self.seen.sites[site.name], smoothing)

    def others(self, site: Site, smoothing: Smoothing) -> Activations:
        """Return the smoothed activations of `site` on the pictures to measure on."""
        return _divided(self.unseen.sites[site.name], smoothing)

    def smoothed_weights(self, site: Site, smoothing: Smoothing) -> dict[str, NDArray[np.float32]]:
        """Return the smoothed weights [in, out] of the linears of `site`."""
        weights = self.weights.read_site(site)
        return weights if smoothing.factors is None else multiplied(weights, smoothing.factors)

    def errors(self, plan: QuantizationPlan, flavour: Flavour) -> dict[str, float]:
        """Measure the error of every linear under `plan` on unseen rows, as if all were quantized."""
        errors: dict[str, float] = {}
        for site in self.sites:
            smoothing = plan.smoothing[site.name]
            rows, weights = self.others(site, smoothing).sample, self.smoothed_weights(site, smoothing)
            exact, span = products(rows, weights), plan.ranges[site.name]
            match flavour.numbers:
                case "int8":
                    symmetric = flavour.symmetric
                    rounded = rounded_weights(weights, symmetric=symmetric)
                    errors.update(layer_errors(rows, rounded, exact, span, symmetric=symmetric))
                case "fp8":
                    levels = round_to_fp8(rows, fp8_scale(span.largest))
                    errors.update(product_errors(levels, rounded_to_fp8(weights), exact, plan.shifts))
                case "nvfp4":
                    levels = round_to_nvfp4(rows, nvfp4_scale(span.largest))
                    errors.update(product_errors(levels, rounded_to_nvfp4(weights), exact))
            self.work.done(ERRORS_COST / len(self.sites))
        return errors

    @property
    def connector(self) -> list[str]:
        """The names of the connector's linears."""
        return [linear.name for site in self.sites for linear in site.linears if not linear.name.startswith(TOWER)]


def prepare(
    bundle: Bundle,
    folder: Path,
    pictures: tuple[Pictures, Pictures],
    work: Work,
    *,
    cosine: float,
    seed: int,
    threads: int | None,
    smooth: bool = True,
) -> Prepared:
    """Record the activations of the pictures to calibrate with and to measure on, and `smooth` every site."""
    saved = SavedWork(folder)
    recorded = []
    for name, some in zip(("calibration", "measuring"), pictures, strict=True):
        work.begin(f"recording activations of {counted(len(some.files), 'picture')}, for {name}")
        recorded.append(
            record_activations(bundle, some, seed=seed, threads=threads, recording=Recording(work, name, saved))
        )
    seen, unseen = recorded
    sites, weights = all_sites(bundle), FullWeights(bundle)
    smoothing: Mapping[str, Smoothing] = {}
    if smooth:
        work.begin("smoothing")
        smoothing = _smoothings(sites, weights, (seen, unseen), saved=saved, work=work)
    views = [view for mode in bundle.manifest.graphs for view in pictures[1].views(bundle.manifest, mode)]
    measurement = Measurement(bundle.manifest, views, threads, work)
    return Prepared(bundle, folder, sites, weights, seen, unseen, smoothing, measurement, saved, work, cosine)


def _smoothings(
    sites: Sequence[Site],
    weights: FullWeights,
    recorded: tuple[Recorded, Recorded],
    *,
    saved: SavedWork,
    work: Work,
) -> dict[str, Smoothing]:
    """Choose the smoothing of every site; the strengths are kept, the factors follow from them."""
    seen, unseen = recorded
    found: dict[str, Smoothing] = {}

    def strengths() -> dict[str, float]:
        for site in sites:
            found[site.name] = _smooth(site, weights, seen, unseen)
            work.done(SMOOTHING_COST / len(sites))
        return {name: smoothing.strength for name, smoothing in found.items()}

    if saved.has("smoothing"):
        work.expect(-SMOOTHING_COST)
    chosen = saved.value("smoothing", strengths)
    for site in sites:
        if site.name not in found:
            strength = chosen[site.name]
            peaks, values = seen.sites[site.name].peaks, weights.read_site(site)
            factors = smoothing_factors(peaks, values, strength) if strength else None
            found[site.name] = Smoothing(strength, factors)
    return found


def _smooth(site: Site, weights: FullWeights, seen: Recorded, unseen: Recorded) -> Smoothing:
    if site.norm is None:
        return Smoothing(0.0, None)
    return choose_smoothing(seen.sites[site.name], weights.read_site(site), unseen.sites[site.name].sample)


def _divided(seen: Activations, smoothing: Smoothing) -> Activations:
    return seen if smoothing.factors is None else seen.divided(smoothing.factors)


def _stricter(share: float) -> float:
    return 1 - (1 - share) * (1 - RESERVE)
