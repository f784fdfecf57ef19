"""Values of parameters become settings, and those that cannot are refused, without ROS."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.places import ROOT

from uhd_edge.robot.ros2.parameters import BY_NAME, PARAMETERS
from uhd_edge.robot.ros2.settings import change_settings, parse_options, read_settings
from uhd_edge.runtime.errors import OptionError, UhdError

DEFAULTS = read_settings({})


def test_the_defaults_ask_nothing_and_set_nothing() -> None:
    assert (DEFAULTS.question, DEFAULTS.region, DEFAULTS.pause) == ("", None, 0.0)
    assert DEFAULTS.options == {"max_tokens": 256, "tolerance": 0.0, "temperature": 0.0}
    assert DEFAULTS.assistant_options() == {
        "engine": "auto", "precision": "auto", "threads": None, "context": 4096, "mode": None, "max_slices": None,
    }  # fmt: skip


def test_values_reach_the_question_and_the_assistant() -> None:
    settings = change_settings(
        DEFAULTS,
        {
            "question": " What? ",
            "rate": 4.0,
            "mode": "4x",
            "max_slices": 2,
            "budget_ms": 300.0,
            "think": True,
            "threads": 2,
        },
        is_open=False,
    )
    assert (settings.question, settings.pause) == ("What?", 0.25)
    assert settings.options["budget_share"] == 0.95
    assert (settings.options["mode"], settings.options["max_slices"], settings.options["think"]) == ("4x", 2, True)
    assert (settings.assistant_options()["threads"], settings.assistant_options()["mode"]) == (2, "4x")


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_every_default_is_allowed_and_described(parameter: Any) -> None:
    parameter.check(parameter.default)
    assert parameter.description.endswith(".")


@pytest.mark.parametrize(
    ("name", "value"),
    [("rate", -1.0), ("rate", float("nan")), ("engine", "magic"), ("rotate", 91), ("region", [1]), ("schema", "{"),
     ("context", 1), ("budget_share", 0.2), ("max_slices", -1)],
)  # fmt: skip
def test_a_wrong_value_is_refused_and_the_settings_stay(name: str, value: Any) -> None:
    with pytest.raises(UhdError):
        change_settings(DEFAULTS, {name: value}, is_open=False)


def test_what_is_fixed_may_be_set_to_what_it_is() -> None:
    assert change_settings(DEFAULTS, {"bundle": "", "rate": 2.0}, is_open=True).pause == 0.5
    with pytest.raises(OptionError, match="context cannot change while the model is open"):
        change_settings(DEFAULTS, {"context": 100}, is_open=True)


def test_options_of_one_question_come_before_those_of_the_node() -> None:
    assert parse_options('{"max_tokens": 5, "stop": "."}', DEFAULTS) == {
        **DEFAULTS.options,
        "max_tokens": 5,
        "stop": ".",
    }
    assert parse_options("  ", DEFAULTS) == DEFAULTS.options


@pytest.mark.parametrize("text", ["[", "[" * 100_000, "3", '{"a": 1}', '{"max_tokens": "many"}', '{"tools": [3]}'])
def test_options_that_are_none_are_an_error(text: str) -> None:
    with pytest.raises(UhdError):
        parse_options(text, DEFAULTS)


def test_the_file_of_parameters_holds_defaults() -> None:
    file = ROOT / "ros" / "uhd_edge_ros" / "config" / "uhd_edge.yaml"
    lines = file.read_text(encoding="utf-8").partition("ros__parameters:\n")[2].splitlines()
    assert len(lines) > 5
    for line in lines:
        name, _, value = line.strip().partition(": ")
        default = BY_NAME[name].default
        assert value == (default if name == "image_transport" else json.dumps(default)), name


def test_the_page_names_every_parameter_its_default_and_whether_it_may_change() -> None:
    page = (ROOT / "docs" / "ros2.md").read_text(encoding="utf-8")
    for parameter in PARAMETERS:
        default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{parameter.name}` |")]
        assert row.startswith(f"| `{parameter.name}` | `{json.dumps(default)}` | {parameter.description}")
        assert row.endswith(" | no |" if parameter.fixed else " | yes |")
