"""Collects the activations of view after view, in memory that does not grow with their number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.calibration.ranges.activations import Activations, Recorded, merge, most_extreme
from uhd_edge.runtime.errors import CalibrationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from uhd_edge.calibration.ranges.linears import Site

    Values = Mapping[str, NDArray[np.float32]]

# Values kept in all samples of one mode together: 128 MB. A tower of 27 layers gets the fewest rows at every site.
SAMPLE_NUMBERS = 1 << 25
SAMPLE_ROWS = (256, 1024)

_PARTS = ("lows", "highs", "sample", "extremes", "keys")


class Recorder:
    """Keeps extremes, and the rows with the largest random keys (a random sample of a stream of unknown length).

    It goes on from `kept`, which is what `arrays` returned in an earlier run. What it draws for
    a view depends on `seed` and the number of views before, so that an interruption changes nothing.
    """

    def __init__(self, seed: int, kept: Mapping[str, NDArray[Any]] | None = None) -> None:
        self._seed = seed
        self._seen: dict[str, Activations] = {}
        self._keys: dict[str, NDArray[np.float64]] = {}
        self._outputs: dict[str, float] = {}
        self.embeddings: dict[str, NDArray[np.float32]] = {}
        if kept is not None:
            self._restore(kept)

    @property
    def views(self) -> int:
        """The number of views so far."""
        return len(self.embeddings)

    def add(self, view: str, graphs: Sequence[tuple[Values, Sequence[Site]]], embeddings: NDArray[np.float32]) -> None:
        """Add a view: the values that each graph computed of it and the graph's sites, and its embeddings.

        Raises `CalibrationError` if a value is NaN or infinite.
        """
        random = np.random.default_rng((self._seed, self.views))
        for values, sites in graphs:
            rows = _rows_to_keep(sum(values[site.name].shape[-1] for site in sites))
            for site in sites:
                value = values[site.name].reshape(-1, values[site.name].shape[-1])
                if not np.isfinite(value).all():
                    raise CalibrationError(f"{view}: {site.name} holds NaN or Inf in FP32; export the bundle again")
                self._add_site(site.name, value, rows, random)
                for linear in site.linears:
                    peak = float(values[peak_name(linear.name)])
                    self._outputs[linear.name] = max(peak, self._outputs.get(linear.name, 0.0))
        self.embeddings[view] = embeddings

    def recorded(self) -> Recorded:
        """Return what was collected."""
        return Recorded(dict(self._seen), dict(self._outputs), dict(self.embeddings))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays by name, for `kept`."""
        arrays: dict[str, NDArray[Any]] = {}
        for site, seen in self._seen.items():
            parts: tuple[NDArray[Any], ...] = (seen.lows, seen.highs, seen.sample, seen.extremes, self._keys[site])
            arrays.update({f"{part}|{site}": array for part, array in zip(_PARTS, parts, strict=True)})
        arrays.update({f"output|{name}": np.array(peak) for name, peak in self._outputs.items()})
        arrays.update({f"view|{name}": array for name, array in self.embeddings.items()})
        return arrays

    def _restore(self, kept: Mapping[str, NDArray[Any]]) -> None:
        for key, array in kept.items():
            part, _, name = key.partition("|")
            if part == "output":
                self._outputs[name] = float(array)
            elif part == "view":
                self.embeddings[name] = array
            elif part == _PARTS[0]:
                *seen, keys = (kept[f"{part}|{name}"] for part in _PARTS)
                self._seen[name], self._keys[name] = Activations(*seen), keys

    def _add_site(self, name: str, value: NDArray[np.float32], rows: int, random: np.random.Generator) -> None:
        keys = random.random(len(value))
        new = np.argsort(keys)[-rows:]
        keys, seen = keys[new], Activations(value.min(axis=0), value.max(axis=0), value[new], most_extreme(value))
        if name in self._seen:
            keys, seen = np.concatenate([self._keys[name], keys]), merge(self._seen[name], seen)
            kept = np.argsort(keys)[-rows:]
            keys, seen = keys[kept], Activations(seen.lows, seen.highs, seen.sample[kept], seen.extremes)
        self._keys[name], self._seen[name] = keys, seen


def _rows_to_keep(width: int) -> int:
    """Return the sample size; `width` is the number of channels of all sites of a graph together."""
    least, most = SAMPLE_ROWS
    return min(max(SAMPLE_NUMBERS // width, least), most)


def peak_name(linear: str) -> str:
    """Name the output of an instrumented graph that holds the largest magnitude of a linear's output."""
    return f"{linear}/peak"
