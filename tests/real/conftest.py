"""What `make test-real` needs: a checkpoint and its language model, pulled, exported and calibrated, or found so.

`UHD_MODEL` names the model, as `uhd pull` takes it; without it these tests are skipped. Everything is kept
in the models' folder (`UHD_MODELS`), so that a second run downloads and calibrates nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.real.table import Row, table_lines

from uhd_edge.calibration.calibrate import calibrate_bundle
from uhd_edge.export.export import export_bundle
from uhd_edge.export.pulling.choosing import wanted_model
from uhd_edge.export.pulling.pull import pull_model
from uhd_edge.runtime.bundles.kept_models import FETCHED
from uhd_edge.runtime.bundles.model_names import models_folder

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode

VARIABLE = "UHD_MODEL"
ORDER = ("transformers", "FP32", "FP16", "INT8")


@pytest.fixture(scope="session")
def pulled() -> Bundle:
    """The model as `uhd pull` makes it, with its official language model."""
    if VARIABLE not in os.environ:
        pytest.skip(f"{VARIABLE} names no model; see `make test-real`")
    _say(f"pulling {os.environ[VARIABLE]} into {models_folder()}; 3.1 GB for minicpm-v-4.6")
    return pull_model(os.environ[VARIABLE], keep_checkpoint=True, tell=_say)


@pytest.fixture(scope="session")
def checkpoint(pulled: Bundle) -> Path:
    wanted = wanted_model(os.environ[VARIABLE])
    folder = wanted.folder or models_folder() / FETCHED / wanted.name / "checkpoint"
    if not folder.is_dir():
        pytest.fail(f"{folder}: not kept; remove the model with `uhd remove {wanted.name}` and run this again")
    return folder


@pytest.fixture(scope="session")
def exact(pulled: Bundle, checkpoint: Path) -> Path:
    """The checkpoint's own language model in FP32, as a file."""
    target = models_folder() / f"{pulled.path.name}-f32"
    if not (target / "llm.gguf").exists():
        _say("converting the language model to FP32")
        export_bundle(checkpoint, target, llm_type="f32", modes=["16x"], precisions=["fp16"], overwrite=True)
    return target / "llm.gguf"


@pytest.fixture(scope="session")
def calibrated(pulled: Bundle) -> Bundle:
    """The same bundle with INT8 graphs, calibrated on the pictures that come with the package."""
    if any("int8" not in graphs for graphs in pulled.manifest.graphs.values()):
        _say("calibrating INT8 on the shipped pictures; with the real model this takes minutes")
        return calibrate_bundle(pulled, tell=_say).bundle
    return pulled


@pytest.fixture(scope="session")
def expected(pulled: Bundle, checkpoint: Path) -> Any:
    """What transformers makes of the five pictures, for each mode."""
    from support.real.sides import ask_transformers, thinking

    _say("asking transformers in FP32")
    modes: list[Mode] = list(pulled.manifest.graphs)
    return ask_transformers(checkpoint, modes, thinking(pulled))


def _say(line: str) -> None:
    print(f"\n{line}", flush=True)


def _reason(report: Any) -> str:
    """The line that says what was wrong, or why it was skipped."""
    lines = str(report.longreprtext).splitlines()
    return next((line[1:].strip() for line in lines if line.startswith("E ")), lines[-1])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the rows of `test_real_model.py`, where a model was named."""
    if VARIABLE not in os.environ:
        return
    stats = terminalreporter.stats
    reports = [one for kind in ("passed", "failed", "error", "skipped") for one in stats.get(kind, [])]
    tried = [report for report in reports if "test_real_model.py" in report.nodeid]
    rows = [Row(*value) for report in tried for name, value in report.user_properties if name == "row"]
    missing = [(report.nodeid.rpartition("::")[2], _reason(report)) for report in tried if not report.passed]
    if tried:
        terminalreporter.section("to paste into an issue")
        ordered = sorted(rows, key=lambda row: (row.mode != "16x", ORDER.index(row.vision)))
        for line in table_lines(os.environ[VARIABLE], ordered, missing):
            terminalreporter.line(line)
