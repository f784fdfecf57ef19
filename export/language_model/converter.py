"""Finds or fetches llama.cpp's converter from checkpoints to GGUF, in the version that is installed.

`convert_hf_to_gguf.py` is only in the source package of llama-cpp-python, not in its wheel or
in the package `gguf`. The source package is downloaded once with pip, which knows the user's
index settings. The few files that the converter needs are kept in the user's cache.

`python -m uhd_edge.export.language_model.converter` fills the cache ahead of time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path, PurePosixPath

from uhd_edge.engines.unfinished import locked, remove_abandoned
from uhd_edge.runtime.errors import ExportError, MissingExtraError, UhdError
from uhd_edge.runtime.user_cache import user_cache

PACKAGE = "llama-cpp-python"
SCRIPT = "convert_hf_to_gguf.py"
FETCHING = ".fetching-"  # the prefix of a folder in which a source package is being unpacked
# Qwen3.5's chat template, of which tests make MiniCPM-V 4.6's.
TEMPLATE = "models/templates/Qwen3.5-4B.jinja"
NEEDED_FILES = (SCRIPT, "LICENSE", TEMPLATE)
NEEDED_FOLDERS = ("conversion/", "gguf-py/gguf/")
# For a machine without a network: the path of llama.cpp's source folder, or of the unpacked source package.
FOLDER_VARIABLE = "UHD_LLAMA_CPP"


def converter_folder() -> Path:
    """Find the folder that holds `convert_hf_to_gguf.py`, `conversion/` and `gguf-py/`.

    It is `$UHD_LLAMA_CPP` if that is set, otherwise the folder in the cache, which is filled from
    the package index if needed. Raises `ExportError` when that fails.
    """
    folder = expected_folder()
    if not (folder / SCRIPT).is_file():
        _fetch(installed_version(), folder)
    return folder


def expected_folder() -> Path:
    """Where the converter is, or will be once fetched; raises `ExportError` for a wrong `$UHD_LLAMA_CPP`."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return _named_folder(Path(named).expanduser())
    return user_cache() / f"llama.cpp-{installed_version()}"


def installed_version() -> str:
    """Read the version of llama-cpp-python, without a local part such as `+cu124`."""
    try:
        return metadata.version(PACKAGE).partition("+")[0]
    except metadata.PackageNotFoundError as error:
        raise MissingExtraError(f"{PACKAGE} is not installed; pip install 'uhd-edge[export]'") from error


def _named_folder(folder: Path) -> Path:
    for candidate in (folder, folder / "vendor" / "llama.cpp"):
        if (candidate / SCRIPT).is_file() and (candidate / "conversion").is_dir():
            return candidate.resolve()
    raise ExportError(
        f"{FOLDER_VARIABLE}={folder}: no {SCRIPT} and conversion folder there; "
        f"set it to the unpacked source package of {PACKAGE}"
    )


def _fetch(version: str, folder: Path) -> None:
    """Download the source package and put the converter's files into `folder`: all of them, or none."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder.parent.glob(f"{FETCHING}*"))
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=FETCHING) as scratch, locked(Path(scratch)):
            archive = _download(version, Path(scratch))
            unpacked = Path(scratch) / "unpacked"
            _unpack(archive, unpacked)
            if not folder.exists():  # another export may have made it in the meantime
                unpacked.rename(folder)
            elif not (folder / TEMPLATE).exists() and (unpacked / TEMPLATE).exists():  # an older version left it out
                (folder / TEMPLATE).parent.mkdir(parents=True, exist_ok=True)
                (unpacked / TEMPLATE).rename(folder / TEMPLATE)
    except (OSError, tarfile.TarError) as error:
        raise _cannot_fetch(version, " ".join(str(error).split())) from error


def _download(version: str, scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    # Safe to pass on: the package's name is fixed, and `version` comes from the installed package's metadata.
    command += ["--no-deps", "--no-binary", PACKAGE, "--dest", str(scratch), f"{PACKAGE}=={version}"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
    archives = sorted(scratch.glob("*.tar.gz"))
    if done.returncode or not archives:
        errors = [line for line in done.stderr.splitlines() if line.strip() and "notice" not in line]
        raise _cannot_fetch(version, errors[-1].strip() if errors else "pip found no source package")
    return archives[0]


def _unpack(archive: Path, folder: Path) -> None:
    """Copy the converter out of the archive. Names are checked, so that no file lands outside `folder`."""
    with tarfile.open(archive, "r:gz") as package:
        for member in package:
            name = _wanted(member.name)
            stream = package.extractfile(member) if name and member.isfile() else None
            if name is None or stream is None:
                continue
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            with stream, file.open("wb") as copy:
                shutil.copyfileobj(stream, copy)
    if not (folder / SCRIPT).is_file():
        raise tarfile.TarError(f"{archive.name} has no {SCRIPT}")


def _wanted(member: str) -> str | None:
    """A member's path below `vendor/llama.cpp`, or None if the converter does not need it."""
    parts = PurePosixPath(member).parts
    if len(parts) < 4 or parts[1:3] != ("vendor", "llama.cpp") or ".." in parts:
        return None
    name = "/".join(parts[3:])
    return name if name in NEEDED_FILES or name.startswith(NEEDED_FOLDERS) else None


def _cannot_fetch(version: str, reason: str) -> ExportError:
    return ExportError(
        f"llama.cpp's converter cannot be downloaded ({PACKAGE} {version} from the package index: {reason}); "
        f"give a ready language model with --llm FILE.gguf, or set {FOLDER_VARIABLE} to the unpacked source package"
    )


def main() -> int:
    """Fill the cache, with what an older version has left out, and print the folder."""
    try:
        folder = converter_folder()
        if FOLDER_VARIABLE not in os.environ and not (folder / TEMPLATE).is_file():
            _fetch(installed_version(), folder)
        print(folder)
    except UhdError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
