"""Measured costs, stored in the user's cache so that a machine is measured only once."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter, ValidationError

from uhd_edge.engines.processor import processor_name
from uhd_edge.runtime.budget.costs import CostModel, PromptCosts, SlicingCosts, VisionCosts
from uhd_edge.runtime.user_cache import user_cache

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class _Record:
    """The content of one file: what the costs belong to, and the costs."""

    format: Literal[1]
    identity: dict[str, str]
    vision: VisionCosts
    slicing: SlicingCosts
    prompt: PromptCosts


_FILE = TypeAdapter(_Record)


def read_costs(identity: Mapping[str, str], patch_size: int) -> CostModel | None:
    """Return the costs stored for `identity`; None when there are none or the file is damaged."""
    try:
        record = _FILE.validate_json(_file(identity).read_bytes())
    except (OSError, RuntimeError, ValidationError):  # RuntimeError: there is no home folder
        return None
    if record.identity != dict(identity):
        return None
    return CostModel(record.vision, record.slicing, record.prompt, patch_size)


def write_costs(identity: Mapping[str, str], costs: CostModel) -> str | None:
    """Store the costs for `identity`, all or nothing; returns the reason when that is impossible."""
    try:
        file = _file(identity)
    except RuntimeError:
        return "there is no home folder to keep what was measured in; set XDG_CACHE_HOME"
    text = _FILE.dump_json(_Record(1, dict(identity), costs.vision, costs.slicing, costs.prompt), indent=2)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(dir=file.parent, prefix=".costs-")
        try:
            with os.fdopen(descriptor, "wb") as output:
                output.write(text + b"\n")
            Path(partial).replace(file)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    except OSError as error:
        return f"{file}: cannot be written ({error.strerror or error}); the machine is measured again next time"
    return None


def machine() -> str:
    """Name the processor and the number of its cores."""
    return f"{processor_name()} x {os.cpu_count()}"


def _file(identity: Mapping[str, str]) -> Path:
    digest = hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()
    return user_cache() / "costs" / f"{digest[:32]}.json"
