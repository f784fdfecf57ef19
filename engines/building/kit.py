"""A kit: everything a Jetson needs to build its own engines, as one folder or archive.

Engines for a Jetson are built on the Jetson, with the TensorRT of its JetPack. A kit contains
the parts of the bundle needed there (graphs, language model, manifest), one POSIX shell script
that builds and verifies, a template of each engine's record, and this package's own wheel. It
contains no paths of the machine it was made on.
"""

from __future__ import annotations

import json
import shlex
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uhd_edge.engines.building.builder import check_graph
from uhd_edge.engines.building.engine_record import FileDigest, read_digests
from uhd_edge.engines.building.kit_files import writing_kit
from uhd_edge.engines.building.kit_padded import padded_name, write_padded_graphs
from uhd_edge.engines.building.own_wheel import write_own_wheel
from uhd_edge.engines.building.trtexec import run_arguments, shape_arguments, workspace_argument
from uhd_edge.engines.errors import EngineUnavailableError, MissingExtraError
from uhd_edge.engines.graph_files import count_operators

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from uhd_edge.engines.building.build import EngineOrder
    from uhd_edge.engines.building.targets import JetPack, Target

SCRIPT = "build.sh"
BUNDLE = "bundle"
MANIFEST = "bundle.json"

_README = """\
uhd-edge: engines for {device}, JetPack {jetpack} (TensorRT {tensorrt}, CUDA {cuda}, Python {python})

Copy this folder to the device, then run there:

    sudo apt install tensorrt python3-libnvinfer python3-venv python3-dev build-essential
    export PATH=/usr/local/cuda/bin:$PATH           # nvcc, which pycuda and llama.cpp are compiled with
    python3 -m venv --system-site-packages venv     # to find JetPack's TensorRT
    . venv/bin/activate
    CMAKE_ARGS="-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES={architecture}" CMAKE_BUILD_PARALLEL_LEVEL=2 \\
        pip install llama-cpp-python                # the language model on the GPU; half an hour or more
    pip install ./{wheel} "{pycuda}"
    ./build.sh photo.jpg
    uhd ask photo.jpg "What is on the table?" --bundle bundle

build.sh builds {engines} with the device's own TensorRT. Before the engines are
used, it compares them with FP32 on the pictures it is given, or on synthetic ones. It can be
run again: finished engines are kept. Building only needs JetPack's trtexec (apt install
tensorrt). Running and comparing also need its Python package (apt install python3-libnvinfer)
and pycuda, which pip compiles with JetPack's CUDA toolkit.

uhd-edge is installed from the wheel in this folder. Without the line about llama-cpp-python,
its language model runs on the CPU; `uhd doctor` says which it is. On a board of 8 GB, close
the desktop before building, and keep CMAKE_BUILD_PARALLEL_LEVEL at 2.
"""


@dataclass(frozen=True)
class KitContents:
    """The part of a bundle that goes into a kit.

    `manifest` is the text of its bundle.json; `files` are paths relative to `bundle`; `modes`
    are written as on the command line, such as "16x,4x". The engines are for images of at
    most `max_slices` slices, and views of at most `largest_view` patches.
    """

    bundle: Path
    manifest: str
    files: tuple[str, ...]
    modes: str
    max_slices: int
    largest_view: int


@dataclass(frozen=True)
class KitMemory:
    """Bytes that are predicted for the device, with a margin to `build` and `verify`, without to `run`; 0 is unknown.

    `system` is what its own programs take.
    """

    build: int = 0
    verify: int = 0
    run: int = 0
    system: int = 0


def write_kit(
    output: Path,
    contents: KitContents,
    orders: Sequence[EngineOrder],
    *,
    target: Target,
    jetpack: JetPack,
    memory: KitMemory | None = None,
    faster: bool = False,
    progress: Callable[[str], None],
) -> Path:
    """Write a kit to `output`, an archive if the name ends in .tar.gz, else a folder; returns `output`.

    Where an order has `write_padded`, the kit also has the graph with padded heads. With `faster`, its script
    times both engines, otherwise it builds the padded one alone. If TensorRT-RTX is installed, its parser
    checks the graphs first; the device's parser works the same way. The script does not start to build on a
    device without the `memory`. Raises `EngineBuildError` if a graph is rejected, or if `output` exists or
    cannot be written.
    """
    for order in orders:
        progress(f"checking {order.graph}")
        _check(contents.bundle / order.graph)
    with tempfile.TemporaryDirectory() as temporary, writing_kit(output, progress) as kit:
        orders, padded = write_padded_graphs(contents.bundle, orders, Path(temporary), progress if faster else None)
        wheel = write_own_wheel(Path(temporary))
        kit.add_file(wheel.name, wheel)
        for name in contents.files:
            progress(f"copying {name}")
            kit.add_file(f"{BUNDLE}/{name}", contents.bundle / name)
        for name, file in padded.items():
            kit.add_file(f"{BUNDLE}/{name}", file)
        kit.add_text(f"{BUNDLE}/{MANIFEST}", contents.manifest)
        for order in orders:
            record = _record_template(contents.bundle, order, target)
            kit.add_text(f"records/{order.name}.json", json.dumps(record, indent=2) + "\n")
        script = _script(orders, contents, target, jetpack, memory or KitMemory(), faster=faster)
        kit.add_text(SCRIPT, script, executable=True)
        kit.add_text("README.txt", _readme(orders, target, jetpack, wheel.name))
    return output


def _check(graph: Path) -> None:
    try:
        check_graph(graph, "tensorrt-rtx")
    except (MissingExtraError, EngineUnavailableError):
        return  # the device will check it


def _record_template(bundle: Path, order: EngineOrder, target: Target) -> dict[str, Any]:
    """Return the record of `order`, with @PLACEHOLDERS@ for values that only the device knows."""
    return {
        "format": 1,
        "backend": target.backend,
        "backend_version": "@VERSION@",
        "target": target.name,
        "compute_capability": target.compute_capability,
        "gpu": "@GPU@",
        "precision": order.precision,
        "attention": "@ATTENTION@",
        "graph": order.graph,
        "graph_files": {name: _plain(digest) for name, digest in read_digests(bundle / order.graph).items()},
        "profiles": [
            {
                name: {"smallest": shapes.smallest, "usual": shapes.usual, "largest": shapes.largest}
                for name, shapes in profile.items()
            }
            for profile in order.profiles
        ],
        "engine": {"bytes": "@BYTES@", "sha256": "@SHA256@"},
    }


def _plain(digest: FileDigest) -> dict[str, Any]:
    return digest.model_dump()


def _build_commands(order: EngineOrder, bundle: Path, *, faster: bool) -> list[str]:
    """Return the lines of the script that build `order` and remove what it covers."""
    line = _build_command(order, bundle, faster=faster)
    return [line, shlex.join(["replaced", *order.replaces])] if order.replaces else [line]


def _build_command(order: EngineOrder, bundle: Path, *, faster: bool) -> str:
    attentions = str(count_operators(bundle / order.graph, "Softmax"))
    shapes = shape_arguments(order.profiles)
    if order.write_padded is None:
        return shlex.join(["build_engine", order.name, order.graph, attentions, "plain", *shapes])
    padded = padded_name(order)
    if not faster:
        return shlex.join(["build_engine", order.name, padded, attentions, "padded", *shapes])
    usual = run_arguments(order.profiles[0])
    return shlex.join(["build_faster", order.name, order.graph, padded, attentions, usual, *shapes])


def _script(
    orders: Sequence[EngineOrder],
    contents: KitContents,
    target: Target,
    jetpack: JetPack,
    memory: KitMemory,
    *,
    faster: bool,
) -> str:
    template = (resources.files("uhd_edge.engines.building") / "kit.sh").read_text(encoding="utf-8")
    builds = [line for order in orders for line in _build_commands(order, contents.bundle, faster=faster)]
    has_padded = any(order.write_padded is not None for order in orders)
    runs = [shlex.join(["run_engine", order.name, run_arguments(order.profiles[0])]) for order in orders]
    values = {
        "@DEVICE@": target.device,
        "@JETPACK@": jetpack.version,
        "@TENSORRT@": jetpack.tensorrt,
        "@CAPABILITY@": target.compute_capability or "",
        "@PRECISION@": orders[0].precision,
        "@MODES@": contents.modes,
        "@MAX_SLICES@": str(contents.max_slices),
        "@LARGEST_VIEW@": str(contents.largest_view),
        "@TARGET@": target.name,
        "@ATTENTION_CHOICE@": "plain" if not has_padded else "faster" if faster else "padded",
        "@BUILD_MB@": str(memory.build // 10**6),
        "@VERIFY_MB@": str(memory.verify // 10**6),
        "@SYSTEM_MB@": str(memory.system // 10**6),
        "@RUN_MB@": str(memory.run // 10**6),
        "@WORKSPACE@": workspace_argument(),
        "    :\n    #BUILD#": "\n".join(f"    {line}" for line in builds),
        "    :\n    #RUN#": "\n".join(f"    {line}" for line in runs),
    }
    for name, value in values.items():
        template = template.replace(name, value)
    return template


def _readme(orders: Sequence[EngineOrder], target: Target, jetpack: JetPack, wheel: str) -> str:
    return _README.format(
        device=target.device,
        jetpack=jetpack.version,
        tensorrt=jetpack.tensorrt,
        cuda=jetpack.cuda,
        python=jetpack.python,
        engines=", ".join(order.name for order in orders),
        architecture=(target.compute_capability or "").replace(".", ""),
        # Earlier versions do not compile with CUDA 13.
        pycuda="pycuda>=2026.1" if jetpack.cuda.startswith("13.") else "pycuda",
        wheel=wheel,
    )
