"""A summary as text for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.evaluation.report.summary import Column, Summary
    from uhd_edge.evaluation.significance.intervals import Interval
    from uhd_edge.evaluation.significance.paired import Comparison

HEADINGS = ("", "score", "95 % interval", "seconds", "prompt tokens", "answer tokens", "ran as")


def table(summary: Summary) -> str:
    """The settings below each other, their differences from the first one, and the groups side by side."""
    count = len(summary.asked)
    asked = f"{count} question{'' if count == 1 else 's'}"
    lines = [f"{summary.bundle} on {summary.data}: {asked}, {', '.join(summary.metrics)}"]
    lines += [f"language model: {summary.language_model}"] if summary.language_model else []
    lines += [""]
    lines += aligned([HEADINGS, *(_row(column) for column in summary.columns)])
    lines += notes(summary)
    if summary.comparisons:
        lines += ["", f"beside {summary.columns[0].setting.label}:"]
        pairs = zip(summary.columns[1:], summary.comparisons, strict=True)
        lines += aligned([(column.setting.label, said(comparison)) for column, comparison in pairs])
    for name, parts in parts_of(summary):
        rows = [(name, *(column.setting.label for column in summary.columns))]
        rows += [(part, *(percent(interval.mean) for interval in intervals)) for part, intervals in parts.items()]
        lines += ["", *aligned(rows)]
    return "\n".join(lines)


def parts_of(summary: Summary) -> list[tuple[str, dict[str, list[Interval]]]]:
    """The intervals of every setting by group and by metric, where there are several of them."""
    if not summary.columns:
        return []
    kinds = (("group", [column.groups for column in summary.columns]), ("metric", [c.metrics for c in summary.columns]))
    return [
        (name, {part: [column[part] for column in columns] for part in columns[0]})
        for name, columns in kinds
        if len(columns[0]) > 1
    ]


def notes(summary: Summary) -> list[str]:
    """What the numbers do not show: questions without an answer, and answers that were cut."""
    lines = []
    for column in summary.columns:
        if column.unanswered:
            first = f"; the first: {column.first_error}"
            lines.append(f"{column.setting.label}: {column.unanswered} not answered, which count as wrong{first}")
        if column.cut:
            lines.append(f"{column.setting.label}: {column.cut} cut at the most tokens of an answer")
    return lines


def said(comparison: Comparison) -> str:
    """`-0.4 points (-1.1 to +0.3), better in 1, worse in 3, p = 0.62: may be chance`."""
    difference = comparison.difference
    verdict = "may be chance" if comparison.is_noise else "more than chance"
    span = f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}"
    test = "McNemar's exact test" if comparison.test == "mcnemar" else "sign-flip test"
    return (
        f"{100 * difference.mean:+.1f} points ({span}), better in {comparison.better}, worse in {comparison.worse}, "
        f"p = {probability(comparison.probability)} ({test}): {verdict}"
    )


def probability(value: float) -> str:
    """Two digits that mean something."""
    return "< 0.001" if value < 0.001 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def percent(share: float) -> str:
    """A share in percent with one decimal."""
    return f"{100 * share:.1f} %"


def span(interval: Interval) -> str:
    """The interval in percent."""
    return f"{100 * interval.low:.1f} - {100 * interval.high:.1f}"


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns that begin below each other, the first one's texts to the left and the others' to the right."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return [
        f"{row[0]:<{widths[0]}}"
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]


def _row(column: Column) -> tuple[str, ...]:
    return (
        column.setting.label,
        percent(column.score.mean),
        span(column.score),
        f"{column.seconds:.3g}",
        f"{column.prompt_tokens:.0f}",
        f"{column.completion_tokens:.1f}",
        column.ran.removesuffix("ExecutionProvider"),
    )
