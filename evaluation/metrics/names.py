"""The metrics by their names."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from uhd_edge.evaluation.metrics.anls import anls
from uhd_edge.evaluation.metrics.exact_match import exact_match
from uhd_edge.evaluation.metrics.multiple_choice import multiple_choice
from uhd_edge.evaluation.metrics.ocrbench import ocrbench
from uhd_edge.evaluation.metrics.relaxed_accuracy import relaxed_accuracy
from uhd_edge.evaluation.metrics.vqa_accuracy import ENOUGH, vqa_accuracy
from uhd_edge.runtime.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from uhd_edge.evaluation.metrics.reference import Reference


@dataclass(frozen=True)
class Metric:
    """A metric: `score` is from 0 to 1, and what it needs of a reference is checked by `problem`."""

    name: str
    score: Callable[[str, Reference], float]

    def problem(self, reference: Reference) -> str | None:
        """Say why an answer cannot be scored against `reference`; None where it can."""
        if not any(right.strip() for right in reference.answers):
            return "no answer is given"
        if self.name == "multiple_choice":
            return _problem_of_choices(reference)
        if self.name == "vqa_accuracy" and len(reference.answers) <= ENOUGH:
            return f"vqa_accuracy needs the answers of at least {ENOUGH + 1} people, usually ten"
        if self.name == "ocrbench" and not all(right.strip() for right in reference.answers):
            return "an answer is empty, and every text contains that"
        return None


def _problem_of_choices(reference: Reference) -> str | None:
    if len(reference.choices) < 2:
        return "multiple_choice needs at least two choices"
    unknown = [right for right in reference.answers if right not in reference.choices]
    return f"the answer {unknown[0]!r} is none of the choices {', '.join(reference.choices)}" if unknown else None


METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        name: Metric(name, score)
        for name, score in (
            ("exact_match", exact_match),
            ("vqa_accuracy", vqa_accuracy),
            ("anls", anls),
            ("relaxed_accuracy", relaxed_accuracy),
            ("ocrbench", ocrbench),
            ("multiple_choice", multiple_choice),
        )
    }
)


def find_metric(name: str) -> Metric:
    """Return the metric of a name; raises `OptionError` with the valid names for another."""
    metric = METRICS.get(name)
    if metric is None:
        raise OptionError(f"no metric {name!r}; valid are {', '.join(METRICS)}")
    return metric
