"""`uhd ask --schema FILE`: JSON on stdout, or one line on stderr."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.places import EXAMPLES

from uhd_edge.cli.main import exit_code

PICTURE = str(EXAMPLES / "bench.png")
SCHEMA = {"type": "object", "properties": {"objects": {"type": "integer", "minimum": 0, "maximum": 9}}}


@pytest.fixture
def schema(tmp_path: Path) -> str:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps({**SCHEMA, "required": ["objects"]}))
    return str(path)


def test_it_prints_the_json_and_nothing_else(schema: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["ask", PICTURE, "How many objects are there?", "--schema", schema]) == 0
    printed = capfd.readouterr()
    assert json.loads(printed.out)["objects"] in range(10)
    assert printed.err == ""


def test_with_json_the_object_has_what_was_parsed(schema: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["ask", PICTURE, "How many objects are there?", "--schema", schema, "--json"]) == 0
    printed = json.loads(capfd.readouterr().out)
    assert printed["parsed"] == json.loads(printed["answer"])


def test_without_a_schema_nothing_is_parsed(capfd: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["ask", PICTURE, "How many objects are there?", "--json"]) == 0
    assert "parsed" not in json.loads(capfd.readouterr().out)


def test_half_an_answer_is_not_printed(schema: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["ask", PICTURE, "How many?", "--schema", schema, "--max-tokens", "3"]) == 1
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("uhd: the answer was cut off after 3 tokens")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (b"{", "the schema is no JSON"),
        (b"false", "nothing fits the schema"),
        (b'{"type": "whole"}', "this is no JSON schema: $.type: 'whole'"),
        (b'{"type": null}', "this is no JSON schema: $.type: null is not"),
    ],
)
def test_a_file_that_is_no_schema_is_named_before_a_model_is_opened(
    content: bytes | None, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "schema.json"
    if content is not None:
        path.write_bytes(content)
    arguments: Any = ["ask", "no-picture.png", "How many?", "--bundle", str(tmp_path / "none"), "--schema", str(path)]
    assert exit_code(arguments) == 1
    printed = capfd.readouterr()
    assert printed.err.startswith(f"uhd: {path}: {said}")
    assert printed.err.count("\n") == 1
