"""The bundle: one folder with the graphs, the language model and what both need to know.

`bundle.json` is validated whenever a bundle is opened; the SHA-256 of its files only on
request (`Bundle.check_files`), because reading gigabytes at every start would be waste.
"""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from uhd_edge.engines.checksums import compute_sha256
from uhd_edge.engines.errors import first_wrong_field
from uhd_edge.runtime.bundles.how_to_calibrate import how_to_calibrate
from uhd_edge.runtime.bundles.manifest import (
    READABLE_FORMATS,
    GraphKind,
    Manifest,
)
from uhd_edge.runtime.bundles.model_names import (
    BUILT_IN,
    builtin_bundle,
    find_named,
    is_name,
    is_repository,
    known_name,
    models_folder,
)
from uhd_edge.runtime.errors import BundleError, EngineUnavailableError
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.release import warn_renamed

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = "bundle.json"
ARCHIVES = (".tar.gz", ".tgz", ".zip")  # of kits, which have a bundle in them


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk whose manifest has been read and found valid."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: str | Path | None = None) -> Bundle:
        """Open the bundle at `path`, or the built-in uhd-tiny without one.

        `path` is a folder, or the name of a model that `uhd pull` has brought, or a known model's
        repository on the Hub. A folder that is a bundle comes first.

        Raises `BundleError` when the folder is missing, half written, of another format
        version, or lacks one of its files.
        """
        if path is not None and not isinstance(path, str | os.PathLike):
            raise BundleError(f"a bundle is named by the path of its folder, not by {type(path).__name__}")
        folder = builtin_bundle() if path is None else _find(path)
        with _readable(folder):
            if path is None and not folder.is_dir():
                raise BundleError(f"{folder}: the built-in uhd-tiny is not installed; install uhd-edge again")
            bundle = cls(folder, read_manifest(folder))
            bundle._check_files_exist()
        return bundle

    @classmethod
    def of(cls, bundle: Bundle | str | Path | None) -> Bundle:
        """Return a bundle that is open already, or open the folder, as `open` does."""
        return bundle if isinstance(bundle, Bundle) else cls.open(bundle)

    def graphs(self, mode: Mode, kind: GraphKind) -> tuple[Path, Path]:
        """Encoder and connector graph of `mode`, of one kind.

        Raises `EngineUnavailableError` naming what the bundle does have.
        """
        graphs = self.manifest.graphs.get(mode, {}).get(kind)
        if graphs is None:
            is_calibrated = mode in self.manifest.graphs and kind not in ("fp32", "fp16")
            how = f"; make them: {how_to_calibrate(self.manifest, kind, self.path)}" if is_calibrated else ""
            raise EngineUnavailableError(
                f"{self.path}: no {mode} graphs in {kind}; the bundle has {self.describe_graphs()}{how}"
            )
        return self.path / graphs.encoder, self.path / graphs.connector

    def describe_graphs(self) -> str:
        """The modes and kinds of graph in words, such as `16x (fp32, fp16), 4x (fp32)`."""
        return ", ".join(f"{mode} ({', '.join(by_kind)})" for mode, by_kind in self.manifest.graphs.items())

    @property
    def llm_path(self) -> Path:
        """The GGUF file of the language model."""
        return self.path / self.manifest.llm.file

    def check_files(self) -> None:
        """Compare the SHA-256 of every file with the manifest; raises `BundleError` listing the changed ones."""
        with _readable(self.path):
            self._check_files_exist()
            changed = [
                name
                for name, record in self.manifest.files.items()
                if compute_sha256(self.path / name) != record.sha256
            ]
        if changed:
            raise BundleError(
                f"{self.path}: changed since it was written: {', '.join(changed)}; export the bundle again"
            )

    def verify(self) -> None:
        """The former name of `check_files`."""
        warn_renamed("Bundle.verify", "check_files")
        self.check_files()

    def _check_files_exist(self) -> None:
        """Presence and size: cheap, and enough to catch a copy that broke off."""
        if unrecorded := self.manifest.unrecorded():
            raise BundleError(
                f"{self.path / MANIFEST}: files: {', '.join(unrecorded)} is not recorded; export the bundle again"
            )
        for name, record in self.manifest.files.items():
            file = self.path / name
            if not file.is_file():
                raise BundleError(f"{self.path}: {name} is missing; export or copy the bundle again")
            if file.stat().st_size != record.bytes:
                raise BundleError(
                    f"{self.path}: {name} has {file.stat().st_size} bytes instead of {record.bytes}; "
                    "export or copy the bundle again"
                )


def _find(path: str | Path) -> Path:
    """Return the folder at `path`; where there is none, that of the model with this name, a slash at its end or not."""
    text = os.fspath(path)
    if not text.strip():
        raise BundleError("the bundle's name is empty; give a folder or a model's name, or leave it out for uhd-tiny")
    folder, text = Path(path).expanduser(), text.rstrip("/")
    with _readable(folder):
        there, is_bundle = folder.exists(), (folder / MANIFEST).exists()
    name = (known_name(text) or text) if is_repository(text) else text
    if is_bundle or not is_name(name):
        return folder
    # A checkpoint's folder beside which `uhd pull FOLDER` was run has the model's name, and is none.
    is_kept = name.lower() == BUILT_IN or (models_folder() / name.lower() / MANIFEST).exists()
    return folder if there and not is_kept else find_named(name)


def read_manifest(folder: Path) -> Manifest:
    """Read and validate `bundle.json`; raises `BundleError` with the first thing that is wrong."""
    if not folder.is_dir():
        if folder.exists() and folder.name.lower().endswith(ARCHIVES):
            raise BundleError(
                f"{folder}: a bundle is a folder, this is an archive; unpack it, and name the bundle in it"
            )
        what = "a bundle is a folder, this is a file" if folder.exists() else "no such bundle folder"
        pulled = (
            f", or with `uhd pull {folder}` if that is a repository on the Hub" if is_repository(str(folder)) else ""
        )
        raise BundleError(f"{folder}: {what}; make one with `uhd export CHECKPOINT BUNDLE`{pulled}")
    try:
        text = (folder / MANIFEST).read_bytes()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and (folder / "config.json").is_file():
            command = f"uhd export {shlex.quote(str(folder))} BUNDLE"
            raise BundleError(f"{folder}: a checkpoint and no bundle; make one of it with `{command}`") from error
        if (folder / "bundle" / MANIFEST).is_file():
            raise BundleError(f"{folder}: a kit for a Jetson; its bundle is {folder / 'bundle'}") from error
        raise BundleError(f"{folder}: not a bundle, {MANIFEST} cannot be read ({error.strerror})") from error
    try:
        _refuse_other_versions(folder, text)
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(f"{folder / MANIFEST}: {first_wrong_field(error)}; export the bundle again") from error


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Turn an `OSError` into a `BundleError`."""
    try:
        yield
    except OSError as error:
        raise BundleError(f"{error.filename or folder}: cannot be read ({error.strerror})") from error


class _Version(BaseModel):
    format: int


def _refuse_other_versions(folder: Path, text: bytes) -> None:
    found = _Version.model_validate_json(text).format
    if found not in READABLE_FORMATS:
        readable = " and ".join(map(str, READABLE_FORMATS))
        raise BundleError(
            f"{folder / MANIFEST}: bundle format {found}, this version reads formats {readable}; "
            "export the bundle again with this version of uhd-edge"
        )
