"""Files and folders written under a temporary name until complete; remove leftovers of killed processes.

A process locks such a file or folder while it writes. The kernel releases the lock when the
process ends, even if it is killed, so a lock that can be taken means that nobody is writing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

Tell: TypeAlias = "Callable[[str], None]"


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[int]:
    """Hold an exclusive lock on a file or folder; yields its descriptor.

    Raises `BlockingIOError` if another process holds the lock and `wait` is false, and
    `OSError` if the path cannot be opened.
    """
    descriptor = open_locked(path, wait=wait)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_locked(path: Path, *, wait: bool = True) -> int:
    """Open and lock as `locked` does; closing the descriptor releases the lock."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_abandoned(path: Path) -> bool:
    """Whether no running process is writing to `path`; a missing path counts as abandoned."""
    try:
        with locked(path, wait=False):
            return True
    except FileNotFoundError:
        return True
    except OSError:
        return False


def remove_abandoned(paths: Iterable[Path], tell: Tell = lambda _: None) -> None:
    """Remove abandoned `paths` and report each to `tell`; those that cannot be removed stay."""
    remove_files((path for path in paths if path.exists() and is_abandoned(path)), tell)


def remove_files(paths: Iterable[Path], tell: Tell = lambda _: None) -> None:
    """Remove `paths` that are known to be abandoned as `remove_abandoned` does."""
    for path in paths:
        size = size_on_disk(path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        if not path.exists():
            tell(f"removed {path} ({size / 1e6:.1f} MB), left by a run that was killed")


def size_on_disk(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; files that vanish meanwhile count as 0."""
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(_size(file) for file in files)


def readable_size(count: int) -> str:
    """Write a number of bytes as people read it, such as `2.6 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size if not file.is_dir() else 0
    except OSError:
        return 0
