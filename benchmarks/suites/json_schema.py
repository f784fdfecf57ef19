"""Runs the JSON-Schema-Test-Suite: which schemas are taken, and whether values are judged as the suite says.

    git clone https://github.com/json-schema-org/JSON-Schema-Test-Suite
    python benchmarks/suites/json_schema.py JSON-Schema-Test-Suite [--optional] [--remotes] [--write] [--list]

A schema is taken, or refused with a `SchemaError` of one line; anything else counts as a crash. Of a
taken schema every case is judged: does the value fit? `jsonschema` alone is asked too, so that a case
it answers like us is told from one that only we get wrong. With `--remotes`, a schema that refers to
one of the suite's other files gets these under `$defs`, as the refusal asks for. With `--write`,
uhd-tiny writes an answer by each taken schema's grammar, which tells how many do not fit after all.
The exit code is 1 after a crash, or when only we judged a case wrongly.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import jsonschema
from tqdm import tqdm

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.schema.answer_schema import AnswerSchema, answer_schema

HOST = "http://localhost:1234"  # where the suite's other files are meant to be
QUESTION = "How many objects are there?"
DIALECTS = {
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}


@dataclass(frozen=True)
class Group:
    """One schema of the suite and its cases: values, and whether they fit."""

    name: str
    schema: Any
    cases: tuple[tuple[str, Any, bool], ...]


@dataclass(frozen=True)
class Outcome:
    """What became of one case or schema: a kind to count, and where it was."""

    kind: str
    where: str


def read_groups(suite: Path, draft: str, *, optional: bool) -> Iterator[Group]:
    """Read the schemas of one draft; each names its draft, as a person's would."""
    folder = suite / "tests" / draft
    for file in sorted(folder.rglob("*.json") if optional else folder.glob("*.json")):
        for group in json.loads(file.read_text(encoding="utf-8")):
            schema = group["schema"]
            if isinstance(schema, dict):
                schema = {"$schema": DIALECTS[draft], **schema}
            cases = tuple((case["description"], case["data"], case["valid"]) for case in group["tests"])
            yield Group(f"{draft}/{file.relative_to(folder)}: {group['description']}", schema, cases)


def with_remotes(group: Group, suite: Path, draft: str) -> Group:
    """Put the suite's other files under `$defs` of a schema that names one of them, each with its address."""
    if not isinstance(group.schema, dict) or HOST not in json.dumps(group.schema):
        return group
    named = {}
    for file in sorted((suite / "remotes" / draft).rglob("*.json")):
        address = f"{HOST}/{file.relative_to(suite / 'remotes').as_posix()}"
        remote = json.loads(file.read_text(encoding="utf-8"))
        if "$vocabulary" not in remote and remote.get("$id", address) == address:
            named[address] = {"$id": address, **remote}
    return replace(group, schema={**group.schema, "$defs": {**named, **group.schema.get("$defs", {})}})


def judge(group: Group) -> Iterator[Outcome]:
    """Take the schema, and judge its cases."""
    try:
        schema = answer_schema(group.schema)
    except SchemaError as error:
        yield Outcome(f"refused: {error}" if "\n" not in str(error) else "crash: more than one line", group.name)
        return
    except Exception as error:  # what this script looks for
        yield Outcome(f"crash: {type(error).__name__}: {error}", group.name)
        return
    yield Outcome("taken", group.name)
    for description, value, fits in group.cases:
        yield Outcome(judge_case(schema, group.schema, value, fits=fits), f"{group.name}: {description}")


def judge_case(schema: AnswerSchema, plain: Any, value: Any, *, fits: bool) -> str:
    """Whether one value is judged as the suite says; a wrong judgement tells whether `jsonschema` shares it."""
    try:
        schema.read(json.dumps(value))
        judged = True
    except SchemaError:
        judged = False
    except Exception as error:  # what this script looks for
        return f"crash: {type(error).__name__}: {error}"
    if judged == fits:
        return "right"
    kind = jsonschema.validators.validator_for(plain, default=jsonschema.Draft202012Validator)
    shared = kind(plain, format_checker=kind.FORMAT_CHECKER).is_valid(value) == judged
    return f"{'taken' if judged else 'refused'} wrongly{', as jsonschema does' if shared else ''}"


def write(groups: Sequence[Group]) -> Iterator[Outcome]:
    """Let uhd-tiny write an answer by the grammar of each schema that is taken."""
    with Assistant() as assistant:
        for number, group in enumerate(tqdm(groups, disable=None)):
            try:
                schema = answer_schema(group.schema)
            except SchemaError:
                continue
            try:
                assistant.ask(
                    "How many objects are there?", schema=schema, max_tokens=200, temperature=1.5, seed=number
                )
                yield Outcome("written", group.name)
            except SchemaError as error:
                cut = error.answer is not None and error.answer.finish_reason == "length"
                yield Outcome(f"written, and {'cut off' if cut else 'does not fit'}", group.name)
            except Exception as error:  # what this script looks for
                yield Outcome(f"crash while writing: {type(error).__name__}: {error}", group.name)


@click.command(help=__doc__)
@click.argument("suite", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--drafts", default=",".join(DIALECTS), show_default=True)
@click.option("--optional", is_flag=True, help="also what the suite calls optional")
@click.option("--remotes", is_flag=True, help="put files that a schema refers to under its $defs")
@click.option("--write", "writing", is_flag=True, help="also let uhd-tiny write an answer for each schema")
@click.option("--list", "listed", is_flag=True, help="also print where each kind was met")
def main(suite: Path, drafts: str, *, optional: bool, remotes: bool, writing: bool, listed: bool) -> None:
    """Run the suite and print what became of it."""
    groups = [
        with_remotes(group, suite, draft) if remotes else group
        for draft in drafts.split(",")
        for group in read_groups(suite, draft, optional=optional)
    ]
    outcomes = [outcome for group in tqdm(groups, disable=None) for outcome in judge(group)]
    outcomes += write(groups) if writing else ()
    kinds = Counter(outcome.kind for outcome in outcomes)
    cases = sum(count for kind, count in kinds.items() if kind == "right" or "wrongly" in kind)
    click.echo(f"{kinds['taken']} of {len(groups)} schemas taken; {kinds['right']} of their {cases} cases judged right")
    for kind, count in kinds.most_common():
        if kind in {"taken", "right"}:
            continue
        click.echo(f"{count:5}  {kind}")
        for outcome in outcomes if listed else ():
            if outcome.kind == kind:
                click.echo(f"         {outcome.where}")
    sys.exit(any(kind.startswith("crash") or kind.endswith("wrongly") for kind in kinds))


if __name__ == "__main__":
    main()
