"""ONNX Runtime's own operators in the INT8 graph for the CPU: where they stand, and that the numbers stay."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from uhd_edge.bench.synthetic.bundle import MODELS, tower_config
from uhd_edge.bench.synthetic.random_weights import RandomConfig, RandomWeights
from uhd_edge.calibration.graphs.fused_operators import fuse
from uhd_edge.calibration.graphs.graph_files import all_sites, int8_names, write_int8
from uhd_edge.calibration.ranges.plan import FOR_CPU, Flavour, QuantizationPlan
from uhd_edge.calibration.ranges.rounding import Range
from uhd_edge.calibration.ranges.smoothing import Smoothing
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.export.graphs.connector_graphs import connector_graph
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.modes import Mode

STANDARD = replace(FOR_CPU, fused=False)


def write(bundle: Bundle, flavour: Flavour, folder: Path) -> dict[Mode, tuple[Path, Path]]:
    """Write INT8 graphs with ranges taken out of the air."""
    folder.mkdir()
    sites = [site.name for site in all_sites(bundle)]
    plan = QuantizationPlan(dict.fromkeys(sites, Smoothing(0.0, None)), dict.fromkeys(sites, Range(-8.0, 6.0, "none")))
    return write_int8(bundle, plan, flavour, folder, {name: name for name in int8_names(bundle, flavour)})


@pytest.fixture
def graphs(qwen3_bundle: Bundle, tmp_path: Path) -> tuple[dict[Mode, tuple[Path, Path]], ...]:
    return tuple(write(qwen3_bundle, one, tmp_path / str(one.fused)) for one in (STANDARD, FOR_CPU))


def operators(file: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(file, load_external_data=False).graph.node)


def test_attention_is_one_operator_but_within_windows_and_biases_are_in_the_products(
    graphs: tuple[dict[Mode, tuple[Path, Path]], ...],
) -> None:
    before, after = (operators(pair["16x"][0]) for pair in graphs)
    windows = 1
    layers = before["Softmax"] - windows
    assert layers == 3
    assert (after["MultiHeadAttention"], after["Softmax"], after["MatMul"]) == (
        layers,
        windows,
        1 + 2 * windows,  # of the patches, and of the windows' attention
    )
    assert after["MatMulIntegerToFloat"] == 6 * layers + 6 * windows
    assert after["QuantizeLinear"] == before["QuantizeLinear"]


@pytest.mark.parametrize("mode", ["16x", "4x"])
def test_the_fused_graphs_compute_the_same(graphs: tuple[dict[Mode, tuple[Path, Path]], ...], mode: Mode) -> None:
    random = np.random.default_rng(0)
    given = {
        "patches": random.uniform(-1, 1, (2, 64, 588)).astype(np.float32),
        "position_ids": random.integers(0, 4900, (2, 64)),
        "uncompressed": np.zeros((2, 0 if mode == "16x" else 16), np.int64),
    }
    standard, fused = ([OnnxRuntimeEngine(file, threads=1) for file in pair[mode]] for pair in graphs)
    expected, found = standard[0].run(given)["features"], fused[0].run(given)["features"]
    assert similarity(found, expected) > 0.9999  # a sum in another order may round to the next level
    given = {"features": expected}
    expected, found = standard[1].run(given)["embeddings"], fused[1].run(given)["embeddings"]
    assert similarity(found, expected) > 0.99999


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))


def test_a_resampler_whose_queries_come_once_is_not_fused() -> None:
    """ONNX Runtime's operator wants as many queries as views."""
    real = MODELS["minicpm-v-4.6-post-vit-resampler"]
    small = replace(tower_config(real), hidden=8, llm_hidden=16, queries=2)
    random = RandomWeights(RandomConfig(small))
    model = connector_graph(small, lambda name: random.tensor(f"model.{name}"))
    fuse(model)
    assert "MultiHeadAttention" not in {node.op_type for node in model.graph}
