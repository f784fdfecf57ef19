"""Measures uhd-tiny on the measured sets as users run it: through the bundle and the runtime.

`python -m uhd_edge.tiny.measuring.measure` prints the table of `RESULTS.md`.
"""

from __future__ import annotations

import click

from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.tiny.measuring.measured import QUESTIONS, SETTINGS, Setting, measured_set


def exact_matches(assistant: Assistant, setting: Setting, count: int = QUESTIONS) -> dict[str, list[bool]]:
    """Ask the first `count` questions of a set. Returns, by kind of question, whether each answer was exact."""
    right: dict[str, list[bool]] = {}
    for entry in measured_set(setting.measured_set, count):
        answer = assistant.ask(
            entry.picture, entry.question.text, mode=setting.mode, max_slices=setting.max_slices, max_tokens=16
        )
        right.setdefault(entry.question.kind, []).append(answer.text == entry.question.answer)
    return right


def table(columns: dict[str, dict[str, list[bool]]]) -> str:
    """A Markdown table of the right answers in percent: a row for each kind of question, a column for each setting."""
    kinds = sorted({kind for column in columns.values() for kind in column})
    rows = [["question", *columns], ["---", *["---:"] * len(columns)]]
    rows += [[kind, *(_share(column.get(kind, [])) for column in columns.values())] for kind in kinds]
    rows.append(
        ["**all**", *(_share([hit for hits in column.values() for hit in hits]) for column in columns.values())]
    )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _share(hits: list[bool]) -> str:
    return f"{100 * sum(hits) / len(hits):.1f} %" if hits else "-"


@click.command()
@click.option("--bundle", help="A bundle folder.  [default: the built-in bundle]")
@click.option("--count", default=QUESTIONS, show_default=True, help="Number of questions in each set.")
@click.option("--precision", type=click.Choice(["auto", "fp32", "fp16", "int8"]), default="auto", show_default=True)
@click.option("--threads", type=int, help="Number of threads.  [default: one for each usable core]")
def main(bundle: str | None, count: int, precision: str, threads: int | None) -> None:
    """Print the share of exact answers by kind of question."""
    with Assistant(
        Bundle.open(bundle),
        precision=precision,  # type: ignore[arg-type]  # click has checked the choices
        threads=threads,
    ) as assistant:
        click.echo(table({setting.title: exact_matches(assistant, setting, count) for setting in SETTINGS}))


if __name__ == "__main__":
    main()
