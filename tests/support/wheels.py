"""Builds the package's wheel and sdist like pip, but without a network, and installs a wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

from house.imports import PACKAGE, our_folders
from support.places import ROOT

# Without compression, because compressing the built-in model's weights would take seconds.
_BUILD_WHEEL = """\
import sys
from setuptools import build_meta
build_meta.build_wheel(sys.argv[1], {"--build-option": ["--compression=stored"]})
"""
_BUILD_SDIST = """\
import sys
from setuptools import setup
setup(script_args=["--quiet", "sdist", "--formats=tar", "--dist-dir", sys.argv[1]])
"""


def copy_source(target: Path) -> Path:
    """Copy the files of the repository that a build uses, with links as links. A build would write into the tree."""
    folders = [folder.name for folder in our_folders()]
    for name in [PACKAGE, *folders, "tests", "benchmarks", "examples"]:
        shutil.copytree(ROOT / name, target / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ["pyproject.toml", "README.md", "LICENSE"]:
        shutil.copy(ROOT / name, target / name)
    return target


def build_wheel(source: Path, target: Path) -> Path:
    """Build the wheel of `source` with the build backend. Returns its path."""
    _run_build(_BUILD_WHEEL, source, target)
    return next(target.glob("*.whl"))


def unpack_sdist(source: Path, target: Path) -> Path:
    """Build the sdist of `source` and unpack it. Returns the unpacked folder."""
    _run_build(_BUILD_SDIST, source, target)
    with tarfile.open(next(target.glob("*.tar"))) as archive:
        archive.extractall(target)
    return next(folder for folder in target.iterdir() if folder.is_dir())


def _run_build(script: str, source: Path, target: Path) -> None:
    target.mkdir()
    subprocess.run([sys.executable, "-c", script, str(target)], cwd=source, check=True, capture_output=True)


def install_wheel(wheel: Path, folder: Path) -> Path:
    """Install a wheel into a new environment, which takes other packages from this one. Returns its `bin` folder."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--isolated", "--python", str(python), "install", "--quiet"]
    options = ["--disable-pip-version-check", "--no-index", "--no-deps"]
    subprocess.run([*pip, *options, str(wheel)], check=True, cwd=folder, env=environment_without_ours(folder))
    # After pip has run, so that pip does not find the package installed already. An editable installation
    # among these packages has no effect: Python reads .pth files only in the environment's own folder.
    packages = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (next(folder.glob("lib/python*/site-packages")) / "dependencies.pth").write_text("\n".join(packages))
    return python.parent


def environment_without_ours(home: Path) -> dict[str, str]:
    """Environment variables for a process that must not find this repository through any of them."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "TMPDIR", "LANG", "LD_LIBRARY_PATH")}
    return {**kept, "HOME": str(home), "ORT_DISABLE_TELEMETRY": "1"}
