"""What a wheel of this package says of itself: written from a checkout's pyproject.toml, or as it was installed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING, Any

from uhd_edge.engines.errors import EngineBuildError
from uhd_edge.engines.interrupts import raise_interrupt_behind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.metadata import Distribution
    from pathlib import Path

NAME = "uhd-edge"
LICENSE = "LICENSE"

# Python reads TOML from 3.11 on. pip brings a reader for those before.
_TOML_READERS = ("tomllib", "tomli", "pip._vendor.tomli")


@dataclass(frozen=True)
class PackageDescription:
    """The version, and the texts of METADATA, entry_points.txt and the license.

    `package_data` are the patterns of files beside Python's that belong to a package, by the package's name; None
    means every file, as of an installed package.
    """

    version: str
    metadata: str
    entry_points: str
    license: str
    package_data: Mapping[str, tuple[str, ...]] | None = None


def describe_package(root: Path) -> PackageDescription:
    """Describe the package whose files are in `root`.

    In a checkout that is what its pyproject.toml says now: what pip noted down for an editable
    installation is as old as that. Raises `EngineBuildError` if the package was never installed either.
    """
    project_file = root.parent / "pyproject.toml"
    if project_file.is_file():
        content = _read_toml(project_file)
        if content.get("project", {}).get("name") == NAME:
            return _of_checkout(content, root.parent)
    try:
        return _of_installation(distribution(NAME))
    except PackageNotFoundError as error:
        raise EngineBuildError("a kit holds uhd-edge itself, and this copy is not installed; pip install it") from error


def _of_installation(installed: Distribution) -> PackageDescription:
    return PackageDescription(
        version=installed.version,
        metadata=installed.read_text("METADATA") or "",
        entry_points=installed.read_text("entry_points.txt") or "",
        license=installed.read_text(f"licenses/{LICENSE}") or "",
    )


def _of_checkout(content: Mapping[str, Any], folder: Path) -> PackageDescription:
    project = content["project"]
    readme = (folder / project["readme"]).read_text(encoding="utf-8")
    data = content["tool"]["setuptools"]["package-data"]
    return PackageDescription(
        version=project["version"],
        metadata="".join(f"{line}\n" for line in _metadata_lines(project)) + f"\n{readme}",
        entry_points="".join(_entry_points(project)),
        license=(folder / LICENSE).read_text(encoding="utf-8"),
        package_data={package: tuple(patterns) for package, patterns in data.items()},
    )


def _metadata_lines(project: Mapping[str, Any]) -> Iterator[str]:
    """Yield the headers of METADATA (core metadata 2.4) for the fields that our pyproject.toml has."""
    yield "Metadata-Version: 2.4"
    yield f"Name: {project['name']}"
    yield f"Version: {project['version']}"
    yield f"Summary: {project['description']}"
    yield f"License-Expression: {project['license']}"
    yield from (f"License-File: {name}" for name in project["license-files"])
    yield from (f"Classifier: {name}" for name in project["classifiers"])
    yield f"Requires-Python: {project['requires-python']}"
    yield "Description-Content-Type: text/markdown"
    yield from (f"Requires-Dist: {requirement}" for requirement in project["dependencies"])
    for extra, requirements in project["optional-dependencies"].items():
        yield f"Provides-Extra: {extra}"
        yield from (f"Requires-Dist: {_only_with(extra, requirement)}" for requirement in requirements)


def _only_with(extra: str, requirement: str) -> str:
    """Add to a requirement that it counts only where `extra` was asked for."""
    what, _, marker = (part.strip() for part in requirement.partition(";"))
    return f'{what}; ({marker}) and extra == "{extra}"' if marker else f'{what}; extra == "{extra}"'


def _entry_points(project: Mapping[str, Any]) -> Iterator[str]:
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    for group, places in groups.items():
        yield f"[{group}]\n"
        yield from (f"{name} = {place}\n" for name, place in places.items())
        yield "\n"


def _read_toml(file: Path) -> dict[str, Any]:
    text = file.read_text(encoding="utf-8")
    for name in _TOML_READERS:
        try:
            reader = importlib.import_module(name)
        except ImportError as error:
            raise_interrupt_behind(error)
            continue
        found: dict[str, Any] = reader.loads(text)
        return found
    raise EngineBuildError(f"{file}: Python before 3.11 cannot read it by itself; pip install tomli")
