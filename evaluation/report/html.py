"""A summary as one HTML file that fetches nothing: the table, and the questions that settings answered differently."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

from uhd_edge.evaluation.report.style import STYLE
from uhd_edge.evaluation.report.table import notes, parts_of, percent, said, span
from uhd_edge.rows.pictures import image_input
from uhd_edge.runtime.errors import ImageError, OutputError
from uhd_edge.runtime.images.loading import load_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from uhd_edge.evaluation.data.data_set import DataSet
    from uhd_edge.evaluation.report.summary import Asked, Summary
    from uhd_edge.rows.pictures import Picture

LONGEST_SIDE = 480  # pixels of a picture in the report
MOST_SHOWN = 200  # questions; a picture is about 20 KB


def write_report(summary: Summary, data: DataSet, file: Path) -> None:
    """Write the report, whole or not at all; raises `OutputError` when it cannot be written."""
    temporary = file.with_name(f".{file.name}.unfinished")
    try:
        try:
            with temporary.open("w", encoding="utf-8", errors="replace") as stream:
                stream.writelines(_page(summary, data))
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{file}: cannot be written ({error.strerror}); the answers are kept") from error


def shown_in(summary: Summary) -> list[Asked]:
    """The questions that settings answered differently; of one setting, those that it got wrong."""
    if len(summary.columns) > 1:
        return [one for one in summary.asked if one.differs]
    return [one for one in summary.asked if one.scores[0] < 1]


def _page(summary: Summary, data: DataSet) -> Iterator[str]:
    title = html.escape(f"{summary.bundle} on {summary.data}")
    yield f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
    yield f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>\n'
    yield f"<h1>{title}</h1>\n<p>{len(summary.asked)} questions, {html.escape(', '.join(summary.metrics))}</p>\n"
    if summary.language_model:
        yield f"<p>language model: {html.escape(summary.language_model)}</p>\n"
    yield from _settings(summary)
    yield from _comparisons(summary)
    yield from _parts(summary)
    yield from _questions(summary, data)
    yield "</body></html>\n"


def _settings(summary: Summary) -> Iterator[str]:
    headings = ("setting", "ran as", "score", "95 % interval", "seconds", "prompt tokens", "answer tokens")
    rows = [
        (
            column.setting.label,
            column.ran,
            percent(column.score.mean),
            span(column.score),
            f"{column.seconds:.3g}",
            f"{column.prompt_tokens:.0f}",
            f"{column.completion_tokens:.1f}",
        )
        for column in summary.columns
    ]
    yield _table("settings", [headings, *rows])
    for note in notes(summary):
        yield f"<p>{html.escape(note)}</p>\n"


def _comparisons(summary: Summary) -> Iterator[str]:
    if summary.comparisons:
        yield f"<h2>Beside {html.escape(summary.columns[0].setting.label)}</h2>\n<ul>\n"
        for column, comparison in zip(summary.columns[1:], summary.comparisons, strict=True):
            yield f"<li><b>{html.escape(column.setting.label)}</b>: {html.escape(said(comparison))}</li>\n"
        yield "</ul>\n"


def _parts(summary: Summary) -> Iterator[str]:
    for name, parts in parts_of(summary):
        rows = [(name, *(column.setting.label for column in summary.columns))]
        rows += [(part, *(f"{percent(one.mean)} ({span(one)})" for one in ones)) for part, ones in parts.items()]
        yield f"<h2>By {name}</h2>\n{_table(name, rows)}"


def _questions(summary: Summary, data: DataSet) -> Iterator[str]:
    found = shown_in(summary)
    heading = "Answered differently" if len(summary.columns) > 1 else "Not right"
    first = f", the first {MOST_SHOWN} of them here" if len(found) > MOST_SHOWN else ""
    yield f"<h2>{heading}</h2>\n<p>{len(found)} of {len(summary.asked)} questions{first}.</p>\n"
    shown = {one.number: one for one in found[:MOST_SHOWN]}
    labels = [column.setting.label for column in summary.columns]
    last = max(shown, default=-1)
    for question in data.questions(last + 1):
        if question.number in shown:
            yield from _question(shown[question.number], labels, question.pictures)


def _question(asked: Asked, labels: Sequence[str], pictures: Sequence[Picture]) -> Iterator[str]:
    group = "" if asked.reference.category is None else f" · {asked.reference.category}"
    yield f'<article id="question-{asked.number}"><div class="pictures">'
    yield from (_picture(picture) for picture in pictures)
    yield f'</div><div><p class="name">{html.escape(asked.name + group)}</p>'
    yield f'<p class="question">{html.escape(asked.text)}</p>'
    yield f'<p class="right">right: {html.escape(" | ".join(dict.fromkeys(asked.reference.answers)))}</p><dl>'
    for label, row, score in zip(labels, asked.rows, asked.scores, strict=True):
        kind = "good" if score == 1 else "bad" if score == 0 else "partly"
        text = row.answer if row.answer is not None else f"not answered: {row.error}"
        yield f'<dt>{html.escape(label)}</dt><dd class="{kind}">{html.escape(text)} <i>{score:.2g}</i></dd>'
    yield "</dl></div></article>\n"


def _picture(picture: Picture) -> str:
    """The picture, made smaller, inside the page."""
    try:
        image = load_image(image_input(picture))
    except ImageError as error:
        return f'<p class="bad">{html.escape(str(error))}</p>'
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80)
    encoded = base64.b64encode(stream.getvalue()).decode("ascii")
    return f'<img alt="" src="data:image/jpeg;base64,{encoded}">'


def _table(name: str, rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows[1:])
    return f'<table id="{name}"><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>\n'
