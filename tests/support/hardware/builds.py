"""The engines that `make test-gpu` tests, each built once."""

from __future__ import annotations

import importlib.util
import io
import shutil
import sys
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.places import EXAMPLES

from uhd_edge.cli.main import exit_code
from uhd_edge.engines.building.targets import buildable_precisions, find_target, find_target_for_gpu
from uhd_edge.engines.errors import UhdError
from uhd_edge.runtime.bundles.bundle import Bundle

if TYPE_CHECKING:
    from uhd_edge.engines.building.targets import BuiltPrecision
    from uhd_edge.engines.tensorrt.gpu import Gpu
    from uhd_edge.engines.tensorrt.library import Backend
    from uhd_edge.runtime.modes import Precision

PICTURES = sorted(EXAMPLES.glob("*.png"))


@dataclass(frozen=True)
class Flavour:
    """What engines are built as: a precision, and in FP16 the attention heads."""

    precision: BuiltPrecision
    attention: str = "plain"

    @property
    def name(self) -> str:
        """As in the names of tests and in the table."""
        return self.precision if self.attention == "plain" else f"{self.precision}-{self.attention}"

    def __str__(self) -> str:
        return self.name


FLAVOURS = (Flavour("fp16"), Flavour("int8"), Flavour("fp8"), Flavour("nvfp4"), Flavour("fp16", "padded"))


@dataclass(frozen=True)
class Built:
    """A copy of the bundle with engines of one backend in one precision for this GPU."""

    bundle: Bundle
    backend: Backend
    precision: Precision


@dataclass(frozen=True)
class NotBuilt:
    """Why there are no engines: the card or the bundle has none of that flavour, or building `failed`."""

    reason: str
    failed: bool = False


class Builds:
    """Engines of this session, each built when it is first asked for; a reason where it cannot be is remembered."""

    def __init__(self, bundle: Bundle, gpu: Gpu, folder: Path) -> None:
        self._bundle, self._gpu, self._folder = bundle, gpu, folder
        self._done: dict[tuple[Backend, Flavour], Built | NotBuilt] = {}

    def get(self, backend: Backend, flavour: Flavour) -> Built:
        """Build, or return what was built.

        Skips the test where the card or the bundle does not have it, and fails it where building fails.
        """
        if (backend, flavour) not in self._done:
            self._done[backend, flavour] = self._missing(backend, flavour) or self._build(backend, flavour)
        done = self._done[backend, flavour]
        if isinstance(done, Built):
            return done
        if done.failed:
            pytest.fail(done.reason, pytrace=False)
        pytest.skip(done.reason)

    def _missing(self, backend: Backend, flavour: Flavour) -> NotBuilt | None:
        """Say what there is not; None where engines should be built."""
        capability, precision = self._gpu.compute_capability, flavour.precision
        target = self._target(backend)
        if backend == "tensorrt-rtx" and target == "here":
            return NotBuilt(f"TensorRT-RTX does not build for compute capability {capability}")
        if precision not in buildable_precisions(replace(find_target(target), compute_capability=capability)):
            return NotBuilt(f"compute capability {capability} has no {precision.upper()} units")
        kind = "int8-tensorrt" if precision == "int8" else precision
        if any(kind not in graphs for graphs in self._bundle.manifest.graphs.values()):
            return NotBuilt(f"{self._bundle.path} has no {kind} graphs: name a bundle that has them in UHD_BUNDLE")
        return self._not_padded() if flavour.attention == "padded" else None

    def _not_padded(self) -> NotBuilt | None:
        """Give the reason with which `uhd build --attention padded` would end, where there is nothing to pad."""
        if importlib.util.find_spec("onnx_ir") is None:
            return NotBuilt("padding attention heads needs onnx-ir: pip install 'uhd-edge[pull]'")
        from uhd_edge.export.graphs.padded_heads import write_padded
        from uhd_edge.runtime.errors import ExportError

        try:
            for mode in self._bundle.manifest.graphs:
                encoder, _ = self._bundle.graphs(mode, "fp16")
                write_padded(encoder, self._folder / "padded.onnx")
        except ExportError as error:
            return NotBuilt(str(error))
        return None

    def _build(self, backend: Backend, flavour: Flavour) -> Built | NotBuilt:
        copy = self._folder / f"{backend}-{flavour.name}"
        options = ["--target", self._target(backend), "--precision", flavour.precision]
        pictures = [] if backend == "tensorrt-rtx" else [word for file in PICTURES for word in ("--image", str(file))]
        said = io.StringIO()
        try:
            shutil.copytree(self._bundle.path, copy, ignore=shutil.ignore_patterns("engines"), dirs_exist_ok=True)
            with redirect_stderr(said):
                code = exit_code(["build", str(copy), *options, "--attention", flavour.attention, *pictures])
            sys.stderr.write(said.getvalue())
            if code == 0:
                return Built(Bundle.open(copy), backend, flavour.precision)
            problem = (said.getvalue().splitlines() or [f"uhd build ended with {code}"])[-1]
        except (OSError, UhdError) as error:
            problem = str(error)
        return NotBuilt(f"could not be built: {problem}", failed=True)

    def _target(self, backend: Backend) -> str:
        return "here" if backend == "tensorrt" else find_target_for_gpu(backend, self._gpu.compute_capability)
