"""The wheel of this package, made from its own files, for a device that cannot download it."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from uhd_edge.engines.building.package_description import LICENSE, NAME, PackageDescription, describe_package

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAG = "py3-none-any"
_LEFT_OUT = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache"})
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same wheel every time


def write_own_wheel(folder: Path) -> Path:
    """Write the wheel of the running version into `folder` and return its path.

    From a checkout it is the wheel that pip would build there now. Raises `EngineBuildError` if the package runs
    from files that are neither a checkout nor installed, and `OSError`.
    """
    root = Path(str(resources.files(NAME.replace("-", "_"))))
    described = describe_package(root)
    stem = f"{NAME.replace('-', '_')}-{described.version}"
    wheel, information = folder / f"{stem}-{_TAG}.whl", f"{stem}.dist-info"
    texts = {
        f"{information}/licenses/{LICENSE}": described.license,
        f"{information}/METADATA": described.metadata,
        f"{information}/WHEEL": f"Wheel-Version: 1.0\nGenerator: uhd-edge\nRoot-Is-Purelib: true\nTag: {_TAG}\n",
        f"{information}/entry_points.txt": described.entry_points,
    }
    named_texts = ((name, text.encode()) for name, text in texts.items())
    lines = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in [*_package_files(root, described), *named_texts]:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(content)}\n")
        record = f"{information}/RECORD"
        archive.writestr(zipfile.ZipInfo(record, _EPOCH), "".join(lines) + f"{record},,\n")
    return wheel


def _package_files(root: Path, described: PackageDescription) -> Iterator[tuple[str, bytes]]:
    """Yield every file of the package by its name in a wheel; in a checkout its folders are links."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name not in _LEFT_OUT)
    for folder in [root, *folders]:
        files = folder.glob("*") if folder == root else folder.resolve().rglob("*")
        for file in sorted(files):
            inside = file.relative_to(root if folder == root else folder.resolve())
            name = inside if folder == root else Path(folder.name) / inside
            if file.is_file() and _LEFT_OUT.isdisjoint(inside.parts) and _belongs(Path(root.name) / name, described):
                yield f"{root.name}/{name.as_posix()}", file.read_bytes()


def _belongs(name: Path, described: PackageDescription) -> bool:
    """Whether a file is installed: those for people who work on the repository are not."""
    if described.package_data is None or name.suffix == ".py":
        return True
    packages = {".".join(folder.parts): name.relative_to(folder) for folder in name.parents if folder.parts}
    return any(
        inside.match(pattern) and len(inside.parts) == len(Path(pattern).parts)
        for package, inside in packages.items()
        for pattern in described.package_data.get(package, ())
    )
