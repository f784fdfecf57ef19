"""ONNX Runtime as an engine, and which engine a machine gets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from uhd_edge.engines import onnxruntime as ours
from uhd_edge.engines.errors import EngineError, EngineUnavailableError
from uhd_edge.engines.onnxruntime import CPU, CUDA, OnnxRuntimeEngine, offered_providers
from uhd_edge.engines.selection import check_engine, open_onnxruntime

WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3)


def save_product(folder: Path, *, external: bool = False) -> Path:
    """x [B, N, 4] float, shift [B, N] int64 -> y = x @ WEIGHT + shift."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Cast", ["shift"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["cast", "last"], ["column"]),
        helper.make_node("Add", ["product", "column"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "product",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", "N", 4]),
            helper.make_tensor_value_info("shift", TensorProto.INT64, ["B", "N"]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", "N", 3])],
        [numpy_helper.from_array(WEIGHT, "w"), numpy_helper.from_array(np.array([-1]), "last")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    file = folder / "product.onnx"
    onnx.save(model, file, save_as_external_data=external, location="product.weights", size_threshold=60)
    return file


@pytest.fixture
def product(tmp_path: Path) -> Path:
    return save_product(tmp_path)


def inputs(batch: int = 2, length: int = 5) -> dict[str, Any]:
    x = np.random.default_rng(0).standard_normal((batch, length, 4)).astype(np.float32)
    return {"x": x, "shift": np.arange(batch * length, dtype=np.int64).reshape(batch, length)}


def error_of(action: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(EngineError) as caught:
        action(*arguments, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_graph_runs_on_batches_and_lengths_of_any_size(product: Path) -> None:
    with OnnxRuntimeEngine(product) as engine:
        for batch, length in ((2, 5), (1, 1), (7, 3)):
            given = inputs(batch, length)
            (name, result), *others = engine.run(given).items()
            assert (name, others) == ("y", [])
            np.testing.assert_allclose(result, given["x"] @ WEIGHT + given["shift"][..., None], rtol=1e-5, atol=1e-5)


def test_the_provider_is_the_one_the_session_really_uses(product: Path) -> None:
    with OnnxRuntimeEngine(product) as engine:
        assert engine.provider == CPU


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"x": None}, r"expects x float32 \[B, N, 4\], shift int64 \[B, N\]; it was given shift"),
        ({"extra": np.zeros(1)}, r"it was given x, shift, extra"),
        ({"x": np.zeros((2, 5, 4))}, r"x must be float32 \[B, N, 4\].*; it was given float64 \[2, 5, 4\]"),
        ({"x": np.zeros((2, 5, 3), np.float32)}, r"x must be float32 \[B, N, 4\].*; it was given float32 \[2, 5, 3\]"),
        ({"x": np.zeros((5, 4), np.float32)}, r"x must be float32 \[B, N, 4\]; it was given float32 \[5, 4\]"),
        ({"shift": np.zeros((2, 5), np.int32)}, r"shift must be int64 \[B, N\].*; it was given int32 \[2, 5\]"),
        ({"shift": np.zeros((2, 6), np.int64)}, r"shift must be int64 \[B, N\], B = 2, N = 5; .* int64 \[2, 6\]"),
    ],
)
def test_a_wrong_name_dtype_or_shape_is_told_with_what_was_expected(
    product: Path, change: dict[str, Any], told: str
) -> None:
    given = {name: value for name, value in (inputs() | change).items() if value is not None}
    with OnnxRuntimeEngine(product) as engine:
        text = error_of(engine.run, given)
    assert text.startswith(f"{product}: ")
    assert re.search(told, text), text


def save_lookup(folder: Path) -> Path:
    """index [N] int64 -> y [N], out of a table of four."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "index"], ["y"])],
        "lookup",
        [helper.make_tensor_value_info("index", TensorProto.INT64, ["N"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])],
        [numpy_helper.from_array(np.zeros(4, np.float32), "table")],
    )
    file = folder / "lookup.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), file)
    return file


def test_a_run_that_fails_inside_is_an_error_of_ours(tmp_path: Path) -> None:
    with OnnxRuntimeEngine(save_lookup(tmp_path)) as engine:
        assert "the run failed" in error_of(engine.run, {"index": np.array([9])})


def test_a_closed_engine_says_so(product: Path) -> None:
    engine = OnnxRuntimeEngine(product)
    engine.close()
    engine.close()
    assert "the engine is closed" in error_of(engine.run, inputs())


def test_a_missing_graph_is_named(tmp_path: Path) -> None:
    assert error_of(OnnxRuntimeEngine, tmp_path / "none.onnx").startswith(f"{tmp_path / 'none.onnx'}: no such graph")


@pytest.mark.parametrize("damage", [b"", b"not a graph", None])
def test_a_damaged_graph_is_named(product: Path, damage: bytes | None) -> None:
    product.write_bytes(product.read_bytes()[:150] if damage is None else damage)
    text = error_of(OnnxRuntimeEngine, product)
    assert text.startswith(f"{product}: cannot be opened")
    assert "export the bundle again" in text


@pytest.mark.parametrize("kept", [None, 20])
def test_missing_or_truncated_weights_are_an_error_of_ours(tmp_path: Path, kept: int | None) -> None:
    file = save_product(tmp_path, external=True)
    OnnxRuntimeEngine(file).close()
    weights = tmp_path / "product.weights"
    if kept is None:
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:kept])
    assert error_of(OnnxRuntimeEngine, file).startswith(f"{file}: cannot be opened")


def test_a_provider_that_the_package_lacks_is_unavailable(product: Path) -> None:
    with pytest.raises(EngineUnavailableError, match=f"offers .*{CPU}.*, not {CUDA}"):
        OnnxRuntimeEngine(product, providers=(CUDA, CPU))


@pytest.fixture
def claims_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """As onnxruntime-gpu on a machine without a GPU: the provider is listed, sessions run on the CPU."""
    if CUDA in offered_providers():
        pytest.skip("this is onnxruntime-gpu, whose claim need not be feigned")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])


def test_a_provider_that_is_listed_but_not_used_is_unavailable(product: Path, claims_cuda: None) -> None:
    with pytest.raises(EngineUnavailableError, match=f"lists {CUDA} but runs product.onnx on {CPU}"):
        OnnxRuntimeEngine(product, providers=(CUDA, CPU))


def test_the_cpu_is_used_when_the_gpu_is_not_there_and_it_is_said(product: Path, claims_cuda: None) -> None:
    told: list[str] = []
    with open_onnxruntime(product, threads=1, tell=told.append) as engine:
        assert engine.provider == CPU
    (note,) = told
    assert f"lists {CUDA} but runs product.onnx on {CPU}" in note


def test_the_best_provider_runs_and_nothing_need_be_said(product: Path) -> None:
    told: list[str] = []
    with open_onnxruntime(product, tell=told.append) as engine:
        assert engine.run(inputs())["y"].shape == (2, 5, 3)
    assert told == []


def test_an_engine_that_does_not_exist_is_refused_with_those_that_do() -> None:
    unknown: Any = "coreml"
    with pytest.raises(
        EngineUnavailableError, match="unknown engine 'coreml'; use auto, onnxruntime, openvino, tensor"
    ):
        check_engine(unknown)


def test_threads_default_to_the_usable_cores_and_must_be_at_least_one(
    product: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    options = ours._session_options
    monkeypatch.setattr(
        ours, "_session_options", lambda module, threads: asked.append(threads) or options(module, threads)
    )
    monkeypatch.setattr(ours, "usable_cores", lambda: 3)
    for threads in (None, 2):
        open_onnxruntime(product, threads=threads).close()
    assert asked == [3, 2]
    assert "threads is 0" in error_of(check_engine, "auto", 0)


def test_nothing_is_printed_even_when_opening_or_running_fails(tmp_path: Path) -> None:
    lookup = save_lookup(tmp_path)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(lookup.read_bytes()[:80])
    program = f"""
import numpy as np
from pathlib import Path
from uhd_edge.engines.errors import EngineError
from uhd_edge.engines.selection import open_onnxruntime
failures = 0
for name in ({str(broken)!r}, {str(lookup)!r}):
    try:
        open_onnxruntime(Path(name), threads=1).run({{"index": np.array([9])}})
    except EngineError:
        failures += 1
assert failures == 2
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_nothing_is_reported_to_anybody_unless_the_user_has_asked_for_it(tmp_path: Path) -> None:
    """Beside its reports ONNX Runtime keeps an identifier of the machine in the user's cache."""
    graph = save_product(tmp_path)
    script = "import sys\nfrom pathlib import Path\nfrom uhd_edge.engines.onnxruntime import OnnxRuntimeEngine\n"
    script += "with OnnxRuntimeEngine(Path(sys.argv[1]), threads=1):\n    pass\n"
    script += "import os\nprint(os.environ['ORT_DISABLE_TELEMETRY'])"
    unset = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "CI")}
    cache = tmp_path / "cache"
    for asked, expected in (({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0", "CI": "1"}, "0")):
        environment = {**unset, **asked, "XDG_CACHE_HOME": str(cache)}
        run = [sys.executable, "-c", script, str(graph)]
        printed = subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout
        assert printed.split() == [expected]
    assert not cache.exists()
