"""`NAME.engine.json`: what an engine was built from and for, and whether it may run here.

An engine is compiled for one graph, one version of TensorRT and one kind of GPU. Used with
anything else, it fails late, gives wrong results or crashes the process. So all of this is
recorded next to the engine and checked before TensorRT loads the file.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from uhd_edge.engines.building.profiles import Profile
from uhd_edge.engines.building.targets import BuiltPrecision, find_target_for_gpu
from uhd_edge.engines.checksums import compute_sha256
from uhd_edge.engines.errors import EngineError, EngineRefusedError, first_wrong_field
from uhd_edge.engines.graph_files import graph_files
from uhd_edge.engines.tensorrt.library import NAMES, Backend

FOLDER: Final = "engines"
FAILED: Final = "failed"
ENGINE_SUFFIX: Final = ".engine"
RECORD_SUFFIX: Final = ".engine.json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileDigest(BaseModel):
    """Size in bytes and SHA-256 of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: Annotated[int, Field(ge=1)]
    sha256: Sha256


class EngineRecord(BaseModel):
    """The contents of an `.engine.json`, and the path of its engine.

    `graph` is the graph's path in the bundle. `graph_files` maps the graph and its weight
    files, by their names in the graph's folder, to their digests. `gpu` is the GPU the engine
    was built on, or None if it was built ahead of time. `attention` says whether the graph's
    attention heads were padded before. `path` is the engine's file; it is not stored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    backend: Backend
    backend_version: str
    target: str
    compute_capability: Annotated[str, Field(pattern=r"^\d+\.\d+$")]
    gpu: str | None
    precision: BuiltPrecision
    attention: Literal["plain", "padded"] = "plain"
    graph: str
    graph_files: Annotated[dict[str, FileDigest], Field(min_length=1)]
    profiles: Annotated[tuple[Profile, ...], Field(min_length=1)]
    engine: FileDigest
    path: Annotated[Path, Field(exclude=True)]

    @property
    def rebuild(self) -> str:
        """The command that rebuilds this engine."""
        return self._rebuild_for(self.target if self.backend == "tensorrt-rtx" else "here")

    def rebuild_for_gpu(self, compute_capability: str) -> str:
        """Return the command that builds it for a GPU of `compute_capability`."""
        return self._rebuild_for(find_target_for_gpu(self.backend, compute_capability))

    def _rebuild_for(self, target: str) -> str:
        return f"uhd build {_find_bundle(self.path)} --target {target} --precision {self.precision}"


def read_digests(graph: Path) -> dict[str, FileDigest]:
    """Read the digests of a graph and its weight files; raises `EngineError` if one is missing."""
    return {file.relative_to(graph.parent).as_posix(): read_digest(file) for file in graph_files(graph)}


def read_digest(file: Path) -> FileDigest:
    """Read the size and compute the SHA-256 of `file`; raises `EngineError` if it is missing or empty."""
    sha256 = _hash_file(file)
    size = file.stat().st_size
    if size == 0:
        raise EngineError(f"{file}: is empty")
    return FileDigest(bytes=size, sha256=sha256)


def find_engines(bundle: Path, tell: Callable[[str], None] | None = None) -> list[EngineRecord]:
    """Read the records of all engines below `bundle`/engines, sorted by path, except failed ones.

    A record that cannot be read is skipped too, and `tell` gets the reason; without `tell`,
    it raises `EngineRefusedError`.
    """
    found = []
    for file in sorted((bundle / FOLDER).glob(f"*/*{RECORD_SUFFIX}")):
        try:
            found.append(read_record(file))
        except EngineRefusedError as error:
            if tell is None:
                raise
            tell(str(error))
    return found


def unfinished_files(folder: Path) -> list[Path]:
    """What a killed build left in `folder`: hidden files, and engines that never got a record. Nobody uses them."""
    engines = (path for path in folder.glob(f"*{ENGINE_SUFFIX}") if not path.name.startswith("."))
    lone = [path for path in engines if not path.with_name(f"{path.name}.json").exists()]
    return sorted([*(path for path in folder.glob(".*") if path.is_file()), *lone])


def read_record(file: Path) -> EngineRecord:
    """Read one record; raises `EngineRefusedError` with the first problem found."""
    engine = file.with_name(file.name.removesuffix(RECORD_SUFFIX) + ENGINE_SUFFIX)
    advice = f"remove it and build the engine again: uhd build {_find_bundle(file)} --target {file.parent.name}"
    try:
        content = json.loads(file.read_bytes())
        if not isinstance(content, dict):
            raise EngineRefusedError(f"{file}: is not an engine record; {advice}")
        return EngineRecord.model_validate({**content, "path": engine})
    except OSError as error:
        raise EngineRefusedError(f"{file}: cannot be read ({error.strerror}); {advice}") from error
    except ValidationError as error:
        raise EngineRefusedError(f"{file}: {first_wrong_field(error)}; {advice}") from error
    except ValueError as error:
        raise EngineRefusedError(f"{file}: is not JSON; {advice}") from error


def write_record(record: EngineRecord) -> Path:
    """Write a record atomically next to its engine and return its path. Raises `OSError`."""
    file = record.path.with_name(record.path.name.removesuffix(ENGINE_SUFFIX) + RECORD_SUFFIX)
    write_whole(file, (record.model_dump_json(indent=2) + "\n").encode())
    return file


def check_fits(
    record: EngineRecord,
    *,
    graph: Path,
    backend_version: str,
    compute_capability: str,
    known_sha256: Mapping[Path, str] = MappingProxyType({}),
) -> None:
    """Raise `EngineRefusedError` with the reason and the rebuild command unless the engine fits.

    Checks the engine's file, the graph and its weights, the version of TensorRT (its first
    three numbers) and the GPU's compute capability, such as "8.7". `known_sha256` holds
    digests that need not be computed again, such as those in a bundle's manifest: the weights
    of a full-size vision tower are about a gigabyte.
    """
    _check_engine_file(record)
    _check_graph(record, graph, known_sha256)
    if _release(backend_version) != _release(record.backend_version):
        name = NAMES[record.backend]
        raise _refused(record, f"was built by {name} {record.backend_version}, this is {name} {backend_version}")
    if compute_capability != record.compute_capability:
        raise EngineRefusedError(
            f"{record.path}: was built for a GPU of compute capability {record.compute_capability}, this one has "
            f"{compute_capability}; build it for this one: {record.rebuild_for_gpu(compute_capability)}"
        )


def set_aside(record: EngineRecord) -> Path:
    """Move an engine that must not be used, and its record, to the target's `failed` folder; returns the new path.

    Raises `OSError` if it cannot be moved.
    """
    folder = record.path.parent / FAILED
    folder.mkdir(exist_ok=True)
    name = record.path.name.removesuffix(ENGINE_SUFFIX)
    # Move the record first: without it, the engine is no longer found.
    for suffix in (RECORD_SUFFIX, ENGINE_SUFFIX):
        (record.path.parent / f"{name}{suffix}").replace(folder / f"{name}{suffix}")
    return folder / record.path.name


def remove_engine(folder: Path, name: str) -> None:
    """Remove the engine `name` and its record from `folder`, if they are there. Raises `OSError`."""
    for suffix in (RECORD_SUFFIX, ENGINE_SUFFIX):  # without its record, an engine is no longer found
        (folder / f"{name}{suffix}").unlink(missing_ok=True)


def write_whole(file: Path, content: bytes | memoryview) -> None:
    """Write a file atomically: under a temporary name, flushed to disk, then renamed. Raises `OSError`."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(6)}")
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _hash_file(file: Path) -> str:
    try:
        return compute_sha256(file)
    except OSError as error:
        raise EngineError(f"{file}: cannot be read ({error.strerror})") from error


def _check_engine_file(record: EngineRecord) -> None:
    try:
        size = record.path.stat().st_size
    except OSError as error:
        raise _refused(record, f"cannot be read ({error.strerror})") from error
    if size != record.engine.bytes:
        raise _refused(record, f"has {size} bytes instead of {record.engine.bytes}: it was truncated or replaced")
    if _hash_file(record.path) != record.engine.sha256:
        raise _refused(record, "is damaged: its SHA-256 is not the one it was built with")


def _check_graph(record: EngineRecord, graph: Path, known_sha256: Mapping[Path, str]) -> None:
    for name, digest in record.graph_files.items():
        file = graph.parent / name
        if not file.is_file():
            raise _refused(record, f"was built from {name}, which is missing")
        if file.stat().st_size != digest.bytes or (known_sha256.get(file) or _hash_file(file)) != digest.sha256:
            raise _refused(record, f"was built from another graph: {name} has changed since")
    if graph.name not in record.graph_files:
        raise _refused(record, f"was built from {record.graph}, not from {graph.name}")


def _refused(record: EngineRecord, reason: str) -> EngineRefusedError:
    return EngineRefusedError(f"{record.path}: {reason}; build it again: {record.rebuild}")


def _release(version: str) -> tuple[str, ...]:
    """Return the part of a version that must match: trtexec only reports three numbers."""
    return tuple(version.split(".")[:3])


def _find_bundle(file: Path) -> str:
    """Return the bundle of an engine's file, as a shell takes it."""
    return shlex.quote(str(file.parent.parent.parent))
