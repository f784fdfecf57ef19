"""The quantized graph files of a bundle: the encoders of both modes, which share one weight file, and the connector."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import onnx_ir as ir

from uhd_edge.calibration.graphs.external_weights import read_weight
from uhd_edge.calibration.graphs.fused_operators import fuse
from uhd_edge.calibration.graphs.nvfp4 import quantize_nvfp4
from uhd_edge.calibration.graphs.quantize import quantize
from uhd_edge.calibration.ranges.linears import find_sites
from uhd_edge.export.graphs.weight_file import WeightFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from uhd_edge.calibration.ranges.linears import Site
    from uhd_edge.calibration.ranges.plan import Flavour, QuantizationPlan
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import GraphKind
    from uhd_edge.runtime.modes import Mode

    # Encoder and connector of each mode.
    GraphPaths = Mapping[Mode, tuple[Path, Path]]

FOLDER = "graphs"

Part: TypeAlias = Literal["encoder", "connector"]
PARTS: tuple[Part, ...] = get_args(Part)


def graph_paths(bundle: Bundle, kind: GraphKind) -> dict[Mode, tuple[Path, Path]]:
    """Return encoder and connector of every mode; raises `EngineUnavailableError` if one is missing."""
    return {mode: bundle.graphs(mode, kind) for mode in bundle.manifest.graphs}


def has_graphs(bundle: Bundle, kind: GraphKind) -> bool:
    """Whether every mode of `bundle` has graphs of `kind`."""
    return all(kind in by_kind for by_kind in bundle.manifest.graphs.values())


def all_sites(bundle: Bundle) -> list[Site]:
    """List the sites of all FP32 graphs, each once: both encoders use the same modules."""
    sites: dict[str, Site] = {}
    for pair in graph_paths(bundle, "fp32").values():
        for file in pair:
            sites.update((site.name, site) for site in find_sites(ir.load(file).graph))
    return list(sites.values())


class FullWeights:
    """The FP32 weights of a bundle by name, read from disk on demand."""

    def __init__(self, bundle: Bundle) -> None:
        self._tensors: dict[str, ir.TensorProtocol] = {}
        for pair in graph_paths(bundle, "fp32").values():
            for file in pair:
                values = ir.load(file).graph.initializers.items()
                self._tensors.update((name, value.const_value) for name, value in values if value.const_value)

    def __call__(self, name: str) -> NDArray[np.float32]:
        """Read one weight."""
        return read_weight(self._tensors[name])

    def read_site(self, site: Site) -> dict[str, NDArray[np.float32]]:
        """Read the weights [in, out] of the linears of `site`, by the linears' names."""
        return {linear.name: self(linear.weight) for linear in site.linears}


def int8_names(bundle: Bundle, flavour: Flavour) -> list[str]:
    """List the files that `write_int8` writes, by their names in a bundle."""
    pairs = graph_paths(bundle, flavour.base).values()
    graphs = dict.fromkeys(_int8_name(file, flavour) for pair in pairs for file in pair)
    return [*graphs, *(_weights_name(part, flavour) for part in PARTS)]


def write_int8(
    bundle: Bundle, plan: QuantizationPlan, flavour: Flavour, folder: Path, names: Mapping[str, str]
) -> dict[Mode, tuple[Path, Path]]:
    """Write the graphs of `flavour` into `folder`; `names` maps each of `int8_names` to its name in the bundle."""
    encoders, connectors = (write_part(bundle, plan, flavour, folder, names, part=part) for part in PARTS)
    return {mode: (encoders[mode], connectors[mode]) for mode in encoders}


def write_part(
    bundle: Bundle, plan: QuantizationPlan, flavour: Flavour, folder: Path, names: Mapping[str, str], *, part: Part
) -> dict[Mode, Path]:
    """Write the encoders or the connectors as `write_int8` does, and return the graph of each mode."""
    weights, place = FullWeights(bundle), PARTS.index(part)
    exact, base = graph_paths(bundle, "fp32"), graph_paths(bundle, flavour.base)
    written: dict[Path, Path] = {}
    with WeightFile(_inside(folder, names[_weights_name(part, flavour)])) as store:
        for mode, pair in base.items():
            file = pair[place]
            if file in written:  # modes may share it
                continue
            model = ir.load(file)
            sites = find_sites(ir.load(exact[mode][place]).graph)
            (quantize_nvfp4 if flavour.numbers == "nvfp4" else quantize)(model, sites, plan, flavour, weights)
            if flavour.fused:
                fuse(model)
            _unload(model)
            store.move_weights(model)
            written[file] = _inside(folder, names[_int8_name(file, flavour)])
            ir.save(model, written[file])
    return {mode: written[pair[place]] for mode, pair in base.items()}


def _unload(model: ir.Model) -> None:
    """Make weights in the old weight file lazy, so that they are read when the new file is written."""
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if isinstance(tensor, ir.ExternalTensor):
            value.const_value = ir.LazyTensor(partial(_mapped, tensor), tensor.dtype, tensor.shape, name=tensor.name)


def _mapped(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.Tensor(read_weight(tensor), tensor.dtype, name=tensor.name)


def _int8_name(file: Path, flavour: Flavour) -> str:
    return f"{FOLDER}/{file.stem.removesuffix(f'-{flavour.base}')}-{flavour.kind}.onnx"


def _weights_name(part: str, flavour: Flavour) -> str:
    return f"{FOLDER}/{part}-{flavour.kind}.weights"


def _inside(folder: Path, name: str) -> Path:
    return folder / name.rpartition("/")[2]
