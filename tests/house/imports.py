"""Finds out from the source which of our modules imports which. Imports for types count too."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from support.places import ROOT

PACKAGE = "uhd_edge"


def our_folders() -> list[Path]:
    """The top-level folders that are subpackages: those that `uhd_edge/` has links to."""
    return sorted(link.resolve() for link in (ROOT / PACKAGE).iterdir() if link.is_dir() and link.name != "__pycache__")


def our_modules() -> dict[str, Path]:
    """The file of each module, by the module's name without the package's."""
    modules = {"": ROOT / PACKAGE / "__init__.py"}
    for folder in our_folders():
        for file in folder.rglob("*.py"):
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            modules[name.removesuffix(".__init__")] = file
    return modules


def imports_between(modules: dict[str, Path]) -> dict[str, set[str]]:
    """For each module, our modules that it imports anywhere."""
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
    """A module's name without the package's; None for a module that is not ours."""
    if name == PACKAGE:
        return ""
    return name.removeprefix(f"{PACKAGE}.") if name.startswith(f"{PACKAGE}.") else None


def missing_names(file: Path, modules: dict[str, Path]) -> list[str]:
    """The names that a file imports from our package although they do not exist."""
    missing = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or node.level or (module := _inside(node.module or "")) is None:
            continue
        for alias in node.names:
            name = f"{module}.{alias.name}".lstrip(".")
            if name not in modules and alias.name not in _top_names(modules.get(module)):
                missing.append(f"{file.name}: {name}")
    return missing


@cache
def _top_names(file: Path | None) -> frozenset[str]:
    """The names at the top level of a module: defined there, or imported."""
    if file is None:
        return frozenset()
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            names |= _top_names(our_modules().get(_inside(node.module or "") or ""))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)  # names in `__all__`, or in a table that `__getattr__` uses
    return frozenset(names)
