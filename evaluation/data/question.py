"""A question of a data set, and how the values of a row become one."""

from __future__ import annotations

import string
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from uhd_edge.evaluation.metrics.names import Metric, find_metric
from uhd_edge.evaluation.metrics.reference import Reference
from uhd_edge.rows.errors import DataSetError
from uhd_edge.rows.row import as_list, text_of
from uhd_edge.runtime.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.rows.pictures import Picture
    from uhd_edge.rows.row import RawRow


@dataclass(frozen=True)
class Question:
    """What is asked, and what is right. `number` counts from 0 through the data set, `name` is the row's own."""

    number: int
    name: str
    where: str
    text: str
    reference: Reference
    metric: Metric
    pictures: tuple[Picture, ...]

    @property
    def group(self) -> str | None:
        """The group that the question is counted in."""
        return self.reference.category


def question_of(number: int, row: RawRow, default_metric: str | None) -> Question:
    """Make a question of a row; raises `DataSetError` that says where the row is and what it lacks."""
    try:
        return _question(number, row, default_metric)
    except (DataSetError, OptionError) as error:
        raise DataSetError(f"{row.where}: {error}") from error


def _question(number: int, row: RawRow, default_metric: str | None) -> Question:
    text = text_of(row.values.get("question"))
    if text is None:
        raise DataSetError(f"no question; the columns are {', '.join(row.values)}; give --column question=NAME")
    if row.pictures is None:
        raise DataSetError(f"no image; the columns are {', '.join(row.values)} (`image: []` is a question without one)")
    choices = _choices(row.values)
    reference = Reference(_answers(row.values, choices), MappingProxyType(choices), text_of(row.values.get("group")))
    named = text_of(row.values.get("metric")) or default_metric
    metric = find_metric(named or ("multiple_choice" if choices else "exact_match"))
    if problem := metric.problem(reference):
        raise DataSetError(problem)
    return Question(
        number,
        row.name or str(number + 1),
        row.where,
        _asked(text, row.values, choices),
        reference,
        metric,
        row.pictures,
    )


def _asked(text: str, values: Mapping[str, Any], choices: Mapping[str, str]) -> str:
    """Write the options below the question as VLMEvalKit does (`ImageMCQDataset.build_prompt`)."""
    if not choices:
        return text
    hint = text_of(values.get("hint"))
    lines = [] if hint is None else [f"Hint: {hint}"]
    lines += [f"Question: {text}", "Options:", *(f"{letter}. {choice}" for letter, choice in choices.items())]
    return "\n".join([*lines, "Please select the correct answer from the options above."])


def _choices(values: Mapping[str, Any]) -> dict[str, str]:
    """`choices` or `options` as a list or by letter, or VLMEvalKit's columns A, B, C, .."""
    given = next((values[name] for name in ("choices", "options") if values.get(name) is not None), None)
    if given is None:
        columns = {letter: text_of(values.get(letter)) for letter in string.ascii_uppercase}
        return {letter: text for letter, text in columns.items() if text is not None}
    if isinstance(given, dict):
        return {str(letter): str(choice) for letter, choice in given.items()}
    listed = as_list(given)
    if len(listed) > len(string.ascii_uppercase):
        raise DataSetError(f"{len(listed)} choices; there are letters for {len(string.ascii_uppercase)}")
    return dict(zip(string.ascii_uppercase, map(str, listed), strict=False))


def _answers(values: Mapping[str, Any], choices: Mapping[str, str]) -> tuple[str, ...]:
    given = values.get("answers") if values.get("answers") is not None else values.get("answer")
    if given is None:
        raise DataSetError(f"no answer; the columns are {', '.join(values)}; give --column answer=NAME")
    listed = [one.get("answer") if isinstance(one, dict) else one for one in as_list(given)]
    if not choices:
        return tuple(_answer(one) for one in listed)
    return tuple(_letter(one, choices) for one in listed)


def _answer(given: object) -> str:
    text = given if isinstance(given, str) else text_of(given)  # one of ten people may have said nothing
    if text is None:
        raise DataSetError(f"the answer {given!r} is neither a text nor a number")
    return text


def _letter(given: object, choices: Mapping[str, str]) -> str:
    """The letter of the right choice, which is given as the letter, the text, or the place from 0."""
    text = _answer(given).strip()
    if text in choices:
        return text
    by_text = [letter for letter, choice in choices.items() if choice.strip() == text]
    by_place = list(choices)[int(text)] if text.isdecimal() and int(text) < len(choices) else None
    if by_text and by_place is not None and by_place != by_text[0]:
        raise DataSetError(f"the answer {text} may be a choice or the place of one; give its letter")
    return by_text[0] if by_text else by_place or text
