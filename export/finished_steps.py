"""The steps of an export that are finished, recorded beside their files: the next export goes on from them.

A record says what a step was made from, which files it wrote, with their SHA-256, and what it
returned. The next export to the same target takes the files of one that was killed, and uses
them where it would make them from the same inputs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from uhd_edge.engines.checksums import compute_sha256
from uhd_edge.runtime.bundles.manifest import BundlePath, FileRecord, record_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FINISHED = ".finished"  # the folder of records; their files are where they belong in the bundle
TAKEN = ".taken"  # a folder for each step of a killed export, with its record and its files
RECORD = "step.json"

# What a step's files depend on beside the checkpoint and this package.
PACKAGES = ("llama-cpp-python", "transformers", "torch", "onnx", "onnx-ir", "onnxscript")


# What is read of a checkpoint's folder beside its weights; a training's other files may be larger than the model.
READ = (".json", ".txt", ".jinja", ".model")


class Step(BaseModel):
    """A finished step: what it was made from, its files, and what it returned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: dict[str, str]
    files: dict[BundlePath, FileRecord]
    result: JsonValue

    @property
    def bytes(self) -> int:
        """Bytes of its files."""
        return sum(record.bytes for record in self.files.values())


def note_step(folder: Path, name: str, step: Step) -> None:
    """Record a step whose files lie complete in `folder`; raises `OSError`."""
    place = folder / FINISHED / name / RECORD
    place.parent.mkdir(parents=True)
    with place.open("x", encoding="utf-8") as stream:
        stream.write(step.model_dump_json(indent=2) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def take_steps(abandoned: Path, folder: Path) -> None:
    """Move the files of finished steps, and of those taken before, from an abandoned folder to a new one."""
    for kind in (FINISHED, TAKEN):
        for place in sorted(path for path in (abandoned / kind).glob("*") if path.is_dir()):
            step, target = _read(place / RECORD), folder / TAKEN / place.name
            if step is None or target.exists():
                continue
            source = abandoned if kind == FINISHED else place
            for name in (name for name in step.files if (source / name).is_file()):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).rename(target / name)
            target.mkdir(parents=True, exist_ok=True)
            (place / RECORD).rename(target / RECORD)


def recall_step(folder: Path, name: str, inputs: Mapping[str, str]) -> Step | None:
    """Put a taken step's files where they belong, if it was made from `inputs` and they are as they were; else None."""
    place = folder / TAKEN / name
    step = _read(place / RECORD)
    if step is None or step.inputs != dict(inputs) or not _is_whole(place, step.files):
        shutil.rmtree(place, ignore_errors=True)
        return None
    for file in step.files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).rename(folder / file)
    shutil.rmtree(place)
    return step


def remove_records(folder: Path) -> None:
    """Remove all records, and what was taken and not used."""
    for name in (FINISHED, TAKEN):
        shutil.rmtree(folder / name, ignore_errors=True)


def inputs_of(folder: Path, weights: Iterable[Path]) -> dict[str, str]:
    """Return what every step depends on: a checkpoint's `folder` and `weights`, this package and those it uses."""
    beside = (path for path in folder.iterdir() if path.suffix in READ and path.is_file())
    files = sorted({*beside, *weights})
    return {
        "checkpoint": _digest(f"{path.name} {compute_sha256(path)}" for path in files),
        "versions": " ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "code": _code(),
    }


@cache
def _code() -> str:
    """SHA-256 of the sources of an export, which change more often than versions do."""
    here = Path(__file__).parent
    return _digest(f"{path.relative_to(here)} {compute_sha256(path)}" for path in sorted(here.rglob("*.py")))


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _read(record: Path) -> Step | None:
    try:
        return Step.model_validate_json(record.read_bytes())
    except (OSError, ValidationError):
        return None


def _is_whole(place: Path, files: Mapping[str, Any]) -> bool:
    try:
        return all(record_file(place / name) == record for name, record in files.items())
    except OSError:
        return False
