"""Every variant of both towers: torch, ONNX Runtime, OpenVINO, TensorRT-RTX's parser and the count agree."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from support.export.half_graphs import cosine, run_strictly
from support.graph_flops import graph_flops

from uhd_edge.bench.synthetic.bundle import SyntheticModel, open_synthetic_bundle, tower_config
from uhd_edge.bench.synthetic.random_llm import RandomLanguageModel
from uhd_edge.bench.synthetic.random_weights import RandomConfig, RandomWeights
from uhd_edge.calibration.simulation.engine import SimulatedEngine
from uhd_edge.engines.building.builder import check_graph
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.engines.openvino import OpenVinoEngine
from uhd_edge.export.connectors import make_connector
from uhd_edge.export.tower import VisionTower
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.bundle_sizes import read_sizes
from uhd_edge.runtime.bundles.model_sizes import MINICPM_V_4_6
from uhd_edge.runtime.bundles.variants import VARIANTS, vary
from uhd_edge.runtime.images.synthetic_pictures import shapes
from uhd_edge.runtime.vision.encoder import VisionEncoder
from uhd_edge.runtime.vision.flops import view_flops
from uhd_edge.runtime.vision.flops_of_pictures import flops_of_picture
from uhd_edge.runtime.vision.patches import encoder_inputs, make_patches, position_ids
from uhd_edge.runtime.vision.slicing import View

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS, COLUMNS, PATCH = 8, 12, 4
# Those with operators that no other variant has; the others are made of the same parts.
DISTINCT = ("pixel-unshuffle", "cross-mean", "cross-top-left", "window-reuse-resampler")
MOONVIT = "moonvit "
# A MoonViT turns queries and keys, which a compressor has or has not, and tells a resampler places of its own.
TURNING = tuple(
    f"{MOONVIT}{name}"
    for name in ("window-reuse", "cross-mean", "cross-top-left", "post-vit-global", "window-reuse-resampler")
)
SMALL = replace(
    MINICPM_V_4_6,
    name="small",
    vision=MINICPM_V_4_6.vision.model_copy(
        update={"hidden_size": 24, "intermediate_size": 40, "layers": 2, "insert_layer": 0, "table_side": 9}
    ),
    preprocessing=MINICPM_V_4_6.preprocessing.model_copy(
        update={"scale_resolution": 8 * PATCH, "patch_size": PATCH, "max_slices": 4}
    ),
    mlp_width=40,
    llm_width=16,
)


@pytest.fixture(scope="module", params=[*VARIANTS, *TURNING])
def model(request: pytest.FixtureRequest) -> SyntheticModel:
    llm = RandomLanguageModel(16, 16, layers=1, heads=1, kv_heads=1, head=16)
    sizes = vary(SMALL, VARIANTS[request.param.removeprefix(MOONVIT)])
    if request.param.startswith(MOONVIT):
        sizes = replace(sizes, vision=sizes.vision.model_copy(update={"backbone": "moonvit"}))
    return SyntheticModel(sizes, 3, llm)


@pytest.fixture(scope="module")
def bundle(model: SyntheticModel, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("variant")
    return open_synthetic_bundle(model, folder, precisions=["fp32", "fp16"], threads=1, progress=lambda _: None)


@pytest.fixture(scope="module")
def view() -> View:
    pixels = np.random.default_rng(0).integers(0, 256, (ROWS * PATCH, COLUMNS * PATCH, 3)).astype(np.uint8)
    return View(pixels, ROWS, COLUMNS)


def inputs_of(bundle: Bundle, view: View) -> dict[str, NDArray[Any]]:
    manifest = bundle.manifest
    patches = make_patches(view, manifest.preprocessing, manifest.vision, mode="16x")
    positions = position_ids(ROWS, COLUMNS, manifest.vision, mode="16x")
    both = manifest.graphs["16x"]["fp32"].both_modes
    return encoder_inputs(patches[None], positions[None], manifest.vision, mode="16x", both_modes=both)


def by_torch(model: SyntheticModel, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    config = tower_config(model)
    weights = RandomWeights(RandomConfig(config))
    tower, connector = VisionTower(config).eval(), make_connector(config).eval()
    for module, prefix in ((tower, "model.vision_tower."), (connector, "model.merger.")):
        shapes = {name: parameter.shape for name, parameter in module.state_dict().items()}
        module.load_state_dict(
            {name: torch.from_numpy(weights.tensor(prefix + name)).reshape(shape) for name, shape in shapes.items()}
        )
    with torch.no_grad():
        features = tower.encode(torch.tensor(inputs["patches"]), torch.tensor(inputs["position_ids"]), compress=True)
        embeddings: NDArray[np.float32] = connector(features).numpy()
        return embeddings


def by(engine: Any, bundle: Bundle, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    first, second = bundle.graphs("16x", "fp32")
    with engine(first, threads=1) as encoder, engine(second, threads=1) as connector:
        embeddings: NDArray[np.float32] = connector.run({"features": encoder.run(inputs)["features"]})["embeddings"]
        return embeddings


def test_onnx_runtime_differs_from_torch_by_a_ten_thousandth_at_most(
    model: SyntheticModel, bundle: Bundle, view: View
) -> None:
    inputs = inputs_of(bundle, view)
    expected, ours = by_torch(model, inputs), by(OnnxRuntimeEngine, bundle, inputs)
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() <= 1e-4 * expected.std()


@pytest.mark.parametrize("model", [*DISTINCT, *TURNING], indirect=True)
def test_openvino_differs_from_torch_by_a_ten_thousandth_at_most(
    model: SyntheticModel, bundle: Bundle, view: View
) -> None:
    inputs = inputs_of(bundle, view)
    expected = by_torch(model, inputs)
    assert np.abs(by(OpenVinoEngine, bundle, inputs) - expected).max() <= 1e-4 * expected.std()


@pytest.mark.parametrize("model", [*DISTINCT, *TURNING], indirect=True)
def test_fp16_points_where_torch_does(model: SyntheticModel, bundle: Bundle, view: View) -> None:
    inputs = inputs_of(bundle, view)
    encoder, connector = bundle.graphs("16x", "fp16")
    ours = run_strictly(connector, {"features": run_strictly(encoder, inputs)})
    assert cosine(ours, by_torch(model, inputs)) >= 0.9999


def test_the_count_is_that_of_the_graphs(bundle: Bundle, view: View) -> None:
    inputs = inputs_of(bundle, view)
    encoder, connector = bundle.graphs("16x", "fp32")
    with OnnxRuntimeEngine(encoder, threads=1) as engine:
        features = engine.run(inputs)
    counted = view_flops(read_sizes(bundle), ROWS * COLUMNS, compressed=True)
    assert counted.encoder == sum(graph_flops(encoder, inputs).values())
    assert counted.connector == sum(graph_flops(connector, features).values())


def test_tensorrts_parser_takes_it(bundle: Bundle) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for x86-64 alone")
    for graph in bundle.graphs("16x", "fp16"):
        check_graph(graph, "tensorrt-rtx")


def test_a_calibration_can_simulate_every_operator_of_it(bundle: Bundle, view: View) -> None:
    encoder, _ = bundle.graphs("16x", "fp32")
    with SimulatedEngine(encoder) as numpy, OnnxRuntimeEngine(encoder, threads=1) as runtime:
        ours, expected = (engine.run(inputs_of(bundle, view))["features"] for engine in (numpy, runtime))
    assert np.abs(ours - expected).max() <= 1e-4 * expected.std()


def test_the_bundle_says_which_it_is_and_answers_for_itself(model: SyntheticModel, bundle: Bundle) -> None:
    assert Bundle.open(bundle.path).manifest.vision == model.sizes.vision
    picture = shapes(3 * 8 * PATCH, 2 * 8 * PATCH)
    counted = flops_of_picture(model.sizes, *picture.size)[0]  # its own mode
    with VisionEncoder(bundle, engine="onnxruntime", precision="fp32", threads=1) as encoder:
        encoded = encoder.encode(picture)
    assert np.isfinite(encoded.embeddings).all()
    assert encoded.embeddings.shape == (counted.tokens, 16)
    assert len(encoded.views) == len(counted.views)
    assert (len(encoded.views) == 1) == (model.sizes.preprocessing.encoding == "global")
