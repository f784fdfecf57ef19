"""Measured costs, stored in the user's cache so that a machine is measured only once, and what questions took."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from uhd_edge.engines.processor import processor_name
from uhd_edge.runtime.budget.costs import CostModel, PromptCosts, SlicingCosts, VisionCosts
from uhd_edge.runtime.budget.spread import MOST_RATIOS, Ratio, Spread
from uhd_edge.runtime.user_cache import user_cache

if TYPE_CHECKING:
    from collections.abc import Mapping


# So many questions can tell that costs no longer fit, if half of them are this much quicker or slower.
ENOUGH_QUESTIONS = 24
FITTING = 1.5

Ratios = Annotated[tuple[Ratio, ...], Field(max_length=MOST_RATIOS)]


@dataclass(frozen=True)
class StoredCosts:
    """The costs that belong to `identity`; how far from them images lay when it was measured, and questions since."""

    identity: Mapping[str, str]
    costs: CostModel
    measured: Spread
    questions: Spread = field(default_factory=Spread)

    def why_outdated(self) -> str | None:
        """Say why the costs should be measured again: the machine is no longer what it was then; else None."""
        usual = self.questions.usual()
        if len(self.questions.ratios) < ENOUGH_QUESTIONS or 1 / FITTING <= usual <= FITTING:
            return None
        return f"questions take {usual:.2f} times what was measured; measuring {self.identity['mode']} again"


@dataclass(frozen=True)
class _Record:
    """The content of one file."""

    format: Literal[2]
    identity: dict[str, str]
    vision: VisionCosts
    slicing: SlicingCosts
    prompt: PromptCosts
    measured: Ratios
    questions: Ratios


_FILE = TypeAdapter(_Record)


def read_costs(identity: Mapping[str, str], patch_size: int) -> StoredCosts | None:
    """Return the costs stored for `identity`; None when there are none or the file is damaged."""
    try:
        record = _FILE.validate_json(_file(identity).read_bytes())
    except (OSError, RuntimeError, ValidationError):  # RuntimeError: there is no home folder
        return None
    if record.identity != dict(identity):
        return None
    costs = CostModel(record.vision, record.slicing, record.prompt, patch_size)
    return StoredCosts(identity, costs, Spread(record.measured), Spread(record.questions))


def write_costs(stored: StoredCosts) -> str | None:
    """Store costs, all or nothing; returns the reason when that is impossible."""
    try:
        file = _file(stored.identity)
    except RuntimeError:
        return "there is no home folder to keep what was measured in; set XDG_CACHE_HOME"
    costs, ratios = stored.costs, (stored.measured.ratios, stored.questions.ratios)
    record = _Record(2, dict(stored.identity), costs.vision, costs.slicing, costs.prompt, *ratios)
    text = _FILE.dump_json(record, indent=2)
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
