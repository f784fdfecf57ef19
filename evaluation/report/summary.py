"""The answers of all settings beside the right ones, and what they come to."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from uhd_edge.evaluation.asking.results_file import read_rows
from uhd_edge.evaluation.significance.intervals import Interval, mean_interval
from uhd_edge.evaluation.significance.paired import Comparison, compare

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from uhd_edge.evaluation.asking.row import Row
    from uhd_edge.evaluation.asking.run import Order
    from uhd_edge.evaluation.asking.settings import Setting
    from uhd_edge.evaluation.metrics.reference import Reference


@dataclass(frozen=True)
class Asked:
    """A question with its answers: `rows` and `scores` (0 to 1) in the order of the settings.

    A question without an answer scores 0.
    """

    number: int
    name: str
    text: str
    reference: Reference
    metric: str
    rows: tuple[Row, ...]
    scores: tuple[float, ...]

    @property
    def differs(self) -> bool:
        """Whether two settings answered differently."""
        return len({row.answer for row in self.rows}) > 1


@dataclass(frozen=True)
class Column:
    """What one setting came to.

    `score` is the mean over all questions, `groups` that of each group, `metrics` that of each metric. `unanswered`
    counts those without an answer, and `first_error` says why the first of them has none. `cut` counts answers that
    ended at the most tokens. `seconds` is the median over questions whose pictures were all encoded for them, tokens
    are means. `ran` is the precision and the provider that really ran, and `language_models` are the places where
    llama.cpp did: one, unless a run went on somewhere else.
    """

    setting: Setting
    score: Interval
    groups: Mapping[str, Interval]
    metrics: Mapping[str, Interval]
    unanswered: int
    first_error: str | None
    cut: int
    seconds: float
    prompt_tokens: float
    completion_tokens: float
    ran: str
    language_models: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """A whole evaluation. `comparisons` has each setting but the first, beside the first."""

    bundle: str
    data: str
    metrics: tuple[str, ...]
    asked: tuple[Asked, ...]
    columns: tuple[Column, ...]
    comparisons: tuple[Comparison, ...]

    @property
    def language_model(self) -> str:
        """Where the language model ran, in all settings together; empty for answers of an earlier version."""
        return "; ".join(dict.fromkeys(place for column in self.columns for place in column.language_models))

    def as_object(self) -> dict[str, Any]:
        """What `uhd eval --json` prints."""
        return {
            "bundle": self.bundle,
            "data": self.data,
            "metrics": list(self.metrics),
            "settings": [_column_object(column) for column in self.columns],
            "comparisons": [_comparison_object(comparison) for comparison in self.comparisons],
            "questions": [_asked_object(asked) for asked in self.asked],
        }


def summarize(order: Order) -> Summary:
    """Read the answers that are there and score them; questions that a setting was not asked yet are left out."""
    files = [read_rows(order.file(setting)) for setting in order.settings]
    asked = tuple(_all_asked(order, files))
    columns = tuple(_column(setting, index, asked) for index, setting in enumerate(order.settings)) if asked else ()
    scores = [[one.scores[index] for one in asked] for index in range(len(order.settings))]
    return Summary(
        bundle=order.bundle.manifest.name,
        data=order.data.name,
        metrics=tuple(dict.fromkeys(one.metric for one in asked)),
        asked=asked,
        columns=columns,
        comparisons=tuple(compare(scores[0], other) for other in scores[1:]) if asked else (),
    )


def _all_asked(order: Order, files: Sequence[Mapping[int, Row]]) -> Iterable[Asked]:
    for question in order.data.questions(order.limit):
        rows = tuple(file[question.number] for file in files if question.number in file)
        if len(rows) == len(files):
            scores = tuple(
                0.0 if row.answer is None else question.metric.score(row.answer, question.reference) for row in rows
            )
            yield Asked(
                number=question.number,
                name=question.name,
                text=question.text,
                reference=question.reference,
                metric=question.metric.name,
                rows=rows,
                scores=scores,
            )


def _column(setting: Setting, index: int, asked: Sequence[Asked]) -> Column:
    rows = [one.rows[index] for one in asked]
    answered = [row for row in rows if row.answer is not None]
    encoded = [row.seconds for row in answered if row.reused_views == 0] or [row.seconds for row in answered]
    return Column(
        setting=setting,
        score=mean_interval([one.scores[index] for one in asked]),
        groups=_parts((one.reference.category, one.scores[index]) for one in asked),
        metrics=_parts((one.metric, one.scores[index]) for one in asked),
        unanswered=len(rows) - len(answered),
        first_error=next((row.error for row in rows if row.answer is None), None),
        cut=sum(row.finish_reason == "length" for row in answered),
        seconds=statistics.median(encoded) if encoded else 0.0,
        prompt_tokens=statistics.fmean(row.prompt_tokens for row in answered) if answered else 0.0,
        completion_tokens=statistics.fmean(row.completion_tokens for row in answered) if answered else 0.0,
        ran=rows[0].ran,
        language_models=tuple(dict.fromkeys(row.language_model for row in rows if row.language_model)),
    )


def _parts(scores: Iterable[tuple[str | None, float]]) -> dict[str, Interval]:
    """The means of the scores of each name, in the order of the names; None is no name."""
    by_name: dict[str, list[float]] = {}
    for name, score in scores:
        if name is not None:
            by_name.setdefault(name, []).append(score)
    return {name: mean_interval(by_name[name]) for name in sorted(by_name)}


def _column_object(column: Column) -> dict[str, Any]:
    return {
        "setting": asdict(column.setting)
        | {"label": column.setting.label, "ran": column.ran, "language_models": list(column.language_models)},
        "score": asdict(column.score),
        "groups": {group: asdict(interval) for group, interval in column.groups.items()},
        "metrics": {metric: asdict(interval) for metric, interval in column.metrics.items()},
        "unanswered": column.unanswered,
        "first_error": column.first_error,
        "cut": column.cut,
        "seconds": column.seconds,
        "prompt_tokens": column.prompt_tokens,
        "completion_tokens": column.completion_tokens,
    }


def _comparison_object(comparison: Comparison) -> dict[str, Any]:
    return asdict(comparison) | {"is_noise": comparison.is_noise}


def _asked_object(asked: Asked) -> dict[str, Any]:
    return {
        "number": asked.number,
        "name": asked.name,
        "question": asked.text,
        "right": list(asked.reference.answers),
        "group": asked.reference.category,
        "metric": asked.metric,
        "answers": [row.answer for row in asked.rows],
        "errors": [row.error for row in asked.rows],
        "scores": list(asked.scores),
    }
