"""Which module of ours imports which, read from the source; imports for types count too."""

from __future__ import annotations

import ast
from pathlib import Path

from support.places import ROOT

PACKAGE = "uhd_edge"


def our_folders() -> list[Path]:
    """The top-level folders that are subpackages, as the links in `uhd_edge/` have it."""
    return sorted(link.resolve() for link in (ROOT / PACKAGE).iterdir() if link.is_dir() and link.name != "__pycache__")


def our_modules() -> dict[str, Path]:
    """The file of every module, by its name without the package's."""
    modules = {"": ROOT / PACKAGE / "__init__.py"}
    for folder in our_folders():
        for file in folder.rglob("*.py"):
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            modules[name.removesuffix(".__init__")] = file
    return modules


def imports_between(modules: dict[str, Path]) -> dict[str, set[str]]:
    """The modules of ours that each one names in an import, anywhere in it."""
    return {name: set(_imported(file, modules)) - {name} for name, file in modules.items()}


def _imported(file: Path, modules: dict[str, Path]) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [part if _inside(part) in modules else node.module for part in parts]
    return [name for name in map(_inside, found) if name is not None]


def _inside(name: str) -> str | None:
    """A module's name without the package's; None for other people's."""
    if name == PACKAGE:
        return ""
    return name.removeprefix(f"{PACKAGE}.") if name.startswith(f"{PACKAGE}.") else None
