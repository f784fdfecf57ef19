"""Whether a path leads to a file that can be read, and how its name and an error are printed."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from uhd_edge.runtime.errors import ImageError


# What may be meant as a mode: the end of photo.jpg@9x or photo.jpg@4, or 4x alone.
_LIKE_A_MODE = re.compile(r"(.+@\d+x?|\d+x)", re.IGNORECASE | re.DOTALL)


def check_file(path: str | os.PathLike[str], *, kind: Literal["image", "video"], error_class: type[ImageError]) -> str:
    """Return the name of a file in one printable line; raises `error_class` when it cannot hold an image or a video.

    Only a regular file that is not empty can: a pipe would never end, a folder has no bytes.
    """
    name = printable(os.fsdecode(path))
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        raise error_class(f"{name}: no such file; {_advice(name)}") from None
    except (OSError, ValueError) as error:
        raise error_class(f"{name}: cannot be read ({reason(error)})") from error
    article = "an" if kind == "image" else "a"
    if stat.S_ISDIR(status.st_mode):
        raise error_class(f"{name}: is a folder; give {article} {kind} file")
    if not stat.S_ISREG(status.st_mode):
        raise error_class(f"{name}: is not a regular file; give {article} {kind} file")
    if status.st_size == 0:
        raise error_class(f"{name}: the file is empty; copy the {kind} again")
    return name


def _advice(name: str) -> str:
    """What to do about a file that is missing: it may be meant as a mode, or be a question in an image's place."""
    if _LIKE_A_MODE.fullmatch(name):
        return (
            "check the path; an image has a mode of its own as FILE@16x or FILE@4x in commands, "
            'and as a tuple ("FILE", "4x") in programs'
        )
    is_sentence = " " in name and not Path(name).suffix[1:].isalnum()
    return "check the path; if it is the question, the images come before it" if is_sentence else "check the path"


def reason(error: Exception) -> str:
    """Say in one line what went wrong."""
    text = str(getattr(error, "strerror", None) or error)  # FFmpeg's errors have one too
    return printable(" ".join(text.split())) or type(error).__name__


def printable(text: str) -> str:
    """The text as it is, or escaped where a terminal could not show it."""
    return text if text.isprintable() else ascii(text)
