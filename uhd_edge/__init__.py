"""Answers questions about images on the device itself.

    from uhd_edge import Assistant

    with Assistant() as assistant:
        print(assistant.ask("photo.jpg", "What is on the table?").text)

The public names are those of `uhd_edge.runtime`. Each is loaded when it is first used, so `import
uhd_edge` alone costs nothing. Errors are in `uhd_edge.runtime.errors`.

Each subpackage is a folder at the top of the repository; the links beside this file are how
Python, type checkers and editors find them without an installation.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uhd_edge.runtime import *  # noqa: F403  # the public names are listed there

    __version__: str
else:  # so that a checker finds a name that does not exist
    from uhd_edge import runtime

    __all__ = ["__version__"]
    __all__ += runtime.__all__

    def __getattr__(name: str) -> object:
        if name == "__version__":
            value = import_module(f"{__name__}.runtime.release").installed_version()
        elif name in __all__:
            value = getattr(runtime, name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
