"""The wheel of this package, made from its installed files, for a device that cannot download it."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from importlib import resources
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from uhd_edge.engines.errors import EngineBuildError

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "uhd-edge"
_TAG = "py3-none-any"
_LEFT_OUT = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache"})
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same wheel every time


def write_own_wheel(folder: Path) -> Path:
    """Write the wheel of the running version into `folder` and return its path.

    Raises `EngineBuildError` if the package runs from files that were never installed, and `OSError`.
    """
    try:
        installed = distribution(NAME)
    except PackageNotFoundError as error:
        raise EngineBuildError("a kit holds uhd-edge itself, and this copy is not installed; pip install it") from error
    stem = f"{NAME.replace('-', '_')}-{installed.version}"
    wheel, information = folder / f"{stem}-{_TAG}.whl", f"{stem}.dist-info"
    texts = {
        f"{information}/METADATA": installed.read_text("METADATA") or installed.read_text("PKG-INFO") or "",
        f"{information}/WHEEL": f"Wheel-Version: 1.0\nGenerator: uhd-edge\nRoot-Is-Purelib: true\nTag: {_TAG}\n",
        f"{information}/entry_points.txt": installed.read_text("entry_points.txt") or "",
    }
    lines = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in [*_package_files(), *((name, text.encode()) for name, text in texts.items())]:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(content)}\n")
        record = f"{information}/RECORD"
        archive.writestr(zipfile.ZipInfo(record, _EPOCH), "".join(lines) + f"{record},,\n")
    return wheel


def _package_files() -> Iterator[tuple[str, bytes]]:
    """Yield every file of the package by its name in a wheel; in a checkout its folders are links."""
    root = Path(str(resources.files(NAME.replace("-", "_"))))
    folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name not in _LEFT_OUT)
    for folder in [root, *folders]:
        files = folder.glob("*") if folder == root else folder.resolve().rglob("*")
        for file in sorted(files):
            inside = file.relative_to(root if folder == root else folder.resolve())
            if file.is_file() and _LEFT_OUT.isdisjoint(inside.parts):
                name = inside if folder == root else Path(folder.name) / inside
                yield f"{root.name}/{name.as_posix()}", file.read_bytes()
