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
from uhd_edge.engines.building.kit_readme import describe_kit
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
    """Bytes that are predicted for the device, with a margin, to `build`, `verify` and `run`; 0 is unknown.

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
    """Write a kit to `output`, an archive if the name ends in .tar.gz, .tgz or .zip, else a folder; returns `output`.

    Where an order has `write_padded`, the kit also has the graph with padded heads. With `faster`, its script
    times both engines, otherwise it builds the padded one alone. If TensorRT-RTX is installed, its parser
    checks the graphs first; the device's parser works the same way. The script does not start to build on a
    device without the `memory`. Raises `EngineBuildError` if a graph is rejected, or if `output` exists or
    cannot be written.
    """
    with tempfile.TemporaryDirectory() as temporary, writing_kit(output, progress) as kit:
        for order in orders:  # takes minutes, so the output is opened before
            progress(f"checking {order.graph}")
            _check(contents.bundle / order.graph)
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
        kit.add_text("README.txt", describe_kit(orders, target, jetpack, wheel.name))
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
    builds = _cases(orders, lambda order: _build_commands(order, contents.bundle, faster=faster))
    has_padded = any(order.write_padded is not None for order in orders)
    runs = _cases(orders, lambda order: [shlex.join(["run_engine", order.name, run_arguments(order.profiles[0])])])
    values = {
        "@DEVICE@": target.device,
        "@JETPACK@": jetpack.version,
        "@TENSORRT@": jetpack.tensorrt,
        "@CAPABILITY@": target.compute_capability or "",
        "@PRECISIONS@": " ".join(_precisions(orders)),
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
        "        #BUILD#": builds,
        "        #RUN#": runs,
    }
    for name, value in values.items():
        template = template.replace(name, value)
    return template


def _precisions(orders: Sequence[EngineOrder]) -> list[str]:
    return list(dict.fromkeys(order.precision for order in orders))


def _cases(orders: Sequence[EngineOrder], commands: Callable[[EngineOrder], list[str]]) -> str:
    """Return the branches of the script's `case`, one for each precision, with the commands of its orders."""
    lines: list[str] = []
    for precision in _precisions(orders):
        own = [line for order in orders if order.precision == precision for line in commands(order)]
        lines += [f"        {precision})", *(f"            {line}" for line in own), "            ;;"]
    return "\n".join(lines)
