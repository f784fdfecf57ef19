"""What `import uhd_edge` gives, and that it loads nothing heavy until a name is used."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from support.places import ROOT

import uhd_edge
import uhd_edge.runtime
from uhd_edge.cli.main import Invocation, uhd
from uhd_edge.runtime import release

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = [name for name in uhd_edge.__all__ if name != "__version__"]

# What answering needs, and whatever else takes long to import.
HEAVY = ("numpy", "PIL", "pydantic", "onnxruntime", "llama_cpp", "asyncio", "importlib.metadata")


def loaded_by(program: str) -> Sequence[str]:
    """Run a program in a new interpreter. Returns the heavy modules that it has loaded."""
    show = f"\nimport sys\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program + show], capture_output=True, text=True, check=True)
    return re.findall(r"'([\w.]+)'", done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_the_package_is_the_same_object_as_in_runtime(name: str) -> None:
    assert getattr(uhd_edge, name) is getattr(uhd_edge.runtime, name)


def test_the_package_has_every_public_name_of_runtime() -> None:
    assert uhd_edge.runtime.__all__ == NAMES
    assert set(uhd_edge.__all__) <= set(dir(uhd_edge))


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'uhd_edge' has no attribute 'Nothing'"):
        _ = uhd_edge.Nothing


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import uhd_edge, uhd_edge.runtime, uhd_edge.runtime.errors; dir(uhd_edge)") == []
    assert "numpy" in loaded_by("from uhd_edge import Assistant")


def test_help_loads_nothing_heavy() -> None:
    program = "from uhd_edge.cli.main import exit_code; exit_code(['--help'])"
    assert loaded_by(program) == []


def test_the_version_is_that_of_the_installed_package() -> None:
    (stated,) = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
    assert uhd_edge.__version__ == metadata.version("uhd-edge") == stated
    result = CliRunner().invoke(uhd, ["--version"], obj=Invocation())
    assert (result.exit_code, result.stdout) == (0, f"uhd, version {stated}\n")


def test_a_checkout_that_is_not_installed_has_a_version_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", not_found)
    assert release.installed_version() == "0+unknown"
