"""Where models are kept, and which names they may have.

A model is a bundle in the models' folder, and the folder's name is the model's. Names that
begin with a dot are for what is not a model: files that are being fetched, exported or removed.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from importlib import resources
from pathlib import Path

from uhd_edge.runtime.errors import BundleError, OptionError

BUILT_IN = "uhd-tiny"
# Names the folder in place of the default one.
FOLDER_VARIABLE = "UHD_MODELS"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def models_folder() -> Path:
    """`$UHD_MODELS`, or `uhd-edge/models` below `$XDG_DATA_HOME` or `~/.local/share`; it need not exist yet.

    Raises `BundleError` when there is a file in its place.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        folder = Path(named).expanduser().absolute()
    else:
        base = os.environ.get("XDG_DATA_HOME")
        data = Path(base) if base and Path(base).is_absolute() else Path.home() / ".local" / "share"
        folder = data / "uhd-edge" / "models"
    with suppress(OSError):  # whoever uses the folder says what is wrong with it
        if folder.is_file():
            where = f"{FOLDER_VARIABLE} names {folder}" if named else str(folder)
            raise BundleError(f"{where}: a file, but models are kept in a folder; set {FOLDER_VARIABLE} to one")
    return folder


def require_name(name: str) -> str:
    """Return a model's name in lower case; raises `OptionError` for one that no model can have."""
    if not _NAME.fullmatch(name.lower()):
        raise OptionError(
            f"{name!r} is not a name for a model: use letters, digits, dots, dashes and underscores, "
            "at most 64, and begin with a letter or a digit"
        )
    return name.lower()


def is_name(text: str) -> bool:
    """Whether a model could have this name, in any case."""
    return _NAME.fullmatch(text.lower()) is not None


def known_name(repository: str) -> str | None:
    """The name of the known model whose checkpoint or GGUF is this repository `OWNER/NAME` on the Hub, in any case."""
    from uhd_edge.runtime.bundles.known_models import find_known  # which most starts do without

    known = find_known(repository)
    return None if known is None else known.name


def is_repository(text: str) -> bool:
    """Whether this may be a repository `OWNER/NAME` on the Hub; it may be a path too."""
    return _REPOSITORY.fullmatch(text) is not None


def kept_names() -> list[str]:
    """The names of the models that are kept, without the built-in one."""
    folder = models_folder()
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and is_name(entry.name))


def find_named(name: str) -> Path:
    """The folder of the model `name`, in any case; raises `BundleError` with what there is when it is not kept."""
    name = name.lower()
    if name == BUILT_IN:
        return builtin_bundle()
    try:
        kept = kept_names()
    except OSError as error:
        raise BundleError(f"{error.filename or models_folder()}: cannot be read ({error.strerror})") from error
    if name in kept:
        return models_folder() / name
    raise BundleError(_not_kept(name, kept))


def builtin_bundle() -> Path:
    """The folder of uhd-tiny, which is installed with the package."""
    return Path(str(resources.files("uhd_edge.runtime") / BUILT_IN))


def _not_kept(name: str, kept: list[str]) -> str:
    from uhd_edge.runtime.bundles.known_models import KNOWN_MODELS  # which most starts do without

    known = KNOWN_MODELS.get(name)
    if known is not None:
        return f"{name} is not on this machine; `uhd pull {name}` brings it ({known.gigabytes} GB to download)"
    return (
        f"{name}: neither a bundle folder nor a model on this machine ({', '.join((BUILT_IN, *kept))}); "
        f"bring one with `uhd pull MODEL` ({', '.join(KNOWN_MODELS)}), "
        "or make one with `uhd export CHECKPOINT BUNDLE`"
    )
