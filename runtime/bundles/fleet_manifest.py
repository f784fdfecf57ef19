"""The checksums of all files of a bundle or a kit as one text, and what of a folder does not belong to it.

The text has a line `SHA-256  path` for each file, in the order of the paths, as `sha256sum` writes and checks it. It is
small, so it can be signed and sent ahead. Engines that a device built for itself are in no such text: they differ from
device to device. They belong to a bundle if they were built from a graph with the listed checksum.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from uhd_edge.engines.building.engine_record import ENGINE_SUFFIX, FOLDER, RECORD_SUFFIX, read_record
from uhd_edge.engines.checksums import compute_sha256
from uhd_edge.engines.errors import EngineRefusedError
from uhd_edge.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def write_fleet_manifest(folder: Path) -> str:
    """Return the text for everything in a bundle or an unpacked kit; raises `BundleError` for a folder without files.

    Left out are hidden files and the engines that a device has built.
    """
    names = [name for name in _files(folder) if not _is_built_here(name)]
    if not names:
        raise BundleError(f"{folder}: no files in it; give the folder of a bundle or of an unpacked kit")
    return "".join(f"{_sha256(folder / name)}  {name}\n" for name in names)


def read_fleet_manifest(file: Path) -> dict[str, str]:
    """Read such a text as checksums by path; raises `BundleError` for a file that is none."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{file}: cannot be read ({getattr(error, 'strerror', None) or 'not text'})") from error
    listed = {}
    for number, line in enumerate(lines, 1):
        found = _LINE.fullmatch(line)
        if found is None or PurePosixPath(found[2]).is_absolute() or ".." in PurePosixPath(found[2]).parts:
            raise BundleError(f"{file}, line {number}: not a SHA-256 and a path; make it with uhd inspect --checksums")
        listed[found[2]] = found[1]
    if not listed:
        raise BundleError(f"{file}: no checksums in it; make it with uhd inspect --checksums")
    return listed


def find_differences(folder: Path, listed: Mapping[str, str]) -> list[str]:
    """Say of each file that is missing, changed or not listed that it is; nothing for a folder as listed.

    A built engine is named if it is damaged, has no record, or was built from a graph that is not listed.
    """
    present = set(_files(folder))
    differences = [f"{name} is missing" for name in listed if name not in present]
    differences += [
        f"{name} is not the listed one" for name in listed if name in present and _sha256(folder / name) != listed[name]
    ]
    for name in sorted(present - listed.keys()):
        problem = _problem_of_engine(folder, name, listed) if _is_built_here(name) else "is not listed"
        if problem is not None:
            differences.append(f"{name} {problem}")
    return differences


def _files(folder: Path) -> Iterator[str]:
    """The paths of all files, in order; hidden files and folders are left out."""
    relative = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return (path.as_posix() for path in relative if not any(part.startswith(".") for part in path.parts))


def _is_built_here(name: str) -> bool:
    """Whether it is below `engines/` of a bundle, or of the bundle in a kit."""
    parts = PurePosixPath(name).parts
    return FOLDER in parts[:2] and parts[0] in (FOLDER, "bundle")


def _problem_of_engine(folder: Path, name: str, listed: Mapping[str, str]) -> str | None:
    """Why an engine or its record does not belong to the bundle; None if it does, or nobody uses it."""
    path = folder / name
    if name.endswith(ENGINE_SUFFIX):
        return None if path.with_name(f"{path.name}.json").is_file() else "has no record"
    if not name.endswith(RECORD_SUFFIX):
        return None
    try:
        record = read_record(path)
    except EngineRefusedError:
        return "is no record of an engine"
    bundle = "bundle/" if name.startswith("bundle/") else ""
    graphs = PurePosixPath(record.graph).parent
    if any(listed.get(f"{bundle}{graphs / one}") != digest.sha256 for one, digest in record.graph_files.items()):
        return "was built from another graph"
    if not record.path.is_file() or _sha256(record.path) != record.engine.sha256:
        return "has a damaged engine"
    return None


def _sha256(file: Path) -> str:
    try:
        return compute_sha256(file)
    except OSError as error:
        raise BundleError(f"{file}: cannot be read ({error.strerror})") from error
