"""Measured costs kept in the user's cache, so that a machine is measured once and not at every start."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from uhd_edge.runtime.budget.costs import CostModel, PromptCosts, SlicingCosts, VisionCosts, as_record
from uhd_edge.runtime.user_cache import user_cache

if TYPE_CHECKING:
    from collections.abc import Mapping

Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Vision(_Record):
    per_batch: Cost
    per_patch: Cost
    per_patch_squared: Cost


class _Slicing(_Record):
    per_source_megapixel: Cost
    per_view_megapixel: Cost


class _Prompt(_Record):
    per_prompt: Cost
    per_token: Cost
    per_token_squared: Cost


class _Costs(_Record):
    """One file: whose costs they are, and the costs."""

    format: Literal[1]
    identity: dict[str, str]
    vision: _Vision
    slicing: _Slicing
    prompt: _Prompt


def read_costs(identity: Mapping[str, str], patch_size: int) -> CostModel | None:
    """Return the costs that were kept under `identity`, None when there are none or the file is damaged."""
    try:
        record = _Costs.model_validate_json(_file(identity).read_bytes())
    except (OSError, RuntimeError, ValidationError):  # RuntimeError: whoever runs this has no home folder
        return None
    if record.identity != dict(identity):
        return None
    return CostModel(
        VisionCosts(**record.vision.model_dump()),
        SlicingCosts(**record.slicing.model_dump()),
        PromptCosts(**record.prompt.model_dump()),
        patch_size,
    )


def write_costs(identity: Mapping[str, str], costs: CostModel) -> str | None:
    """Keep the costs under `identity`, whole or not at all; returns why that could not be done."""
    try:
        file = _file(identity)
    except RuntimeError:
        return "there is no home folder to keep what was measured in; set XDG_CACHE_HOME"
    text = json.dumps({"format": 1, "identity": dict(identity), **as_record(costs)}, indent=2) + "\n"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(dir=file.parent, prefix=".costs-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as output:
                output.write(text)
            Path(partial).replace(file)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    except OSError as error:
        return f"{file}: cannot be written ({error.strerror or error}); the machine is measured again next time"
    return None


def machine() -> str:
    """Name the processor and how many of it there are."""
    names = {
        line.partition(":")[2].strip()
        for line in _lines(Path("/proc/cpuinfo"))
        if line.startswith(("model name", "Model", "Hardware"))
    }
    return f"{', '.join(sorted(names)) or platform.processor() or platform.machine()} x {os.cpu_count()}"


def _file(identity: Mapping[str, str]) -> Path:
    digest = hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()
    return user_cache() / "costs" / f"{digest[:32]}.json"


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(errors="replace").splitlines()
    except OSError:
        return []
