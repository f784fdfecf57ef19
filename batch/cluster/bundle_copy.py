"""A bundle on every node: sent through Ray's object store once, and kept in the node's cache under its checksum."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uhd_edge.engines.checksums import compute_sha256
from uhd_edge.engines.unfinished import locked
from uhd_edge.runtime.bundles.bundle import MANIFEST, Bundle
from uhd_edge.runtime.user_cache import user_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIECE = 64 * 2**20  # bytes of a file in one object


@dataclass(frozen=True)
class SentBundle:
    """A bundle in the object store: where it lies on the node that sent it, its files, and the references to them."""

    path: Path
    sha256: str
    files: tuple[tuple[str, tuple[Any, ...]], ...]


def send_bundle(bundle: Bundle, put: Callable[[bytes], Any]) -> SentBundle:
    """Put the manifest and every file that it names into the object store, piece by piece."""
    names = (MANIFEST, *bundle.manifest.files)
    files = tuple((name, tuple(put(piece) for piece in _pieces(bundle.path / name))) for name in names)
    return SentBundle(bundle.path, compute_sha256(bundle.path / MANIFEST), files)


def receive_bundle(sent: SentBundle, get: Callable[[Any], bytes], cache: Path | None = None) -> Bundle:
    """Open the bundle on this node: where it lies, if it is there, and otherwise a copy, made by the first worker.

    Raises `BundleError` for a copy whose files do not have the manifest's checksums.
    """
    if _is_there(sent.path, sent.sha256):
        return Bundle.open(sent.path)
    folder = (user_cache() if cache is None else cache) / "sent-bundles" / sent.sha256[:24]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent):  # the other workers of this node wait for the first
        if not _is_there(folder, sent.sha256):
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            _write(sent, get, unfinished)
            Bundle.open(unfinished).check_files()
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.replace(folder)
    return Bundle.open(folder)


def _is_there(folder: Path, sha256: str) -> bool:
    manifest = folder / MANIFEST
    return manifest.is_file() and compute_sha256(manifest) == sha256


def _write(sent: SentBundle, get: Callable[[Any], bytes], folder: Path) -> None:
    for name, pieces in sent.files:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            for piece in pieces:
                stream.write(get(piece))


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        yield from iter(lambda: stream.read(PIECE), b"")
