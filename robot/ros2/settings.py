"""The values of the node's parameters become settings of the assistant and of its questions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from uhd_edge.robot.pixels.framing import check_region
from uhd_edge.robot.ros2.parameters import BY_NAME, PARAMETERS
from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.options import check_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.robot.ros2.parameters import Value
    from uhd_edge.runtime.options import AskOptions

# Parameters that are options of a question, and the value that means "not given".
_ASKED = {"max_tokens": None, "mode": "", "max_slices": 0, "budget_ms": 0.0, "tolerance": None, "temperature": None}
_ASKED_TOO = {"think": False, "schema": ""}


@dataclass(frozen=True)
class Settings:
    """Checked values of all parameters.

    `options` are those of a question, `region` is None for the whole picture.
    """

    values: Mapping[str, Any]
    options: AskOptions
    region: tuple[int, int, int, int] | None

    @property
    def question(self) -> str:
        """The standing question, empty if there is none."""
        return str(self.values["question"]).strip()

    @property
    def pause(self) -> float:
        """Seconds from one standing question to the next."""
        return 1 / self.values["rate"] if self.values["rate"] else 0.0

    def assistant_options(self) -> dict[str, Any]:
        """What the assistant is opened with, beside its bundle."""
        return {
            "engine": self.values["engine"],
            "precision": self.values["precision"],
            "threads": self.values["threads"] or None,
            "context": self.values["context"],
            "mode": self.values["mode"] or None,
            "max_slices": self.values["max_slices"] or None,
        }


def read_settings(values: Mapping[str, Value]) -> Settings:
    """Check the values of all parameters; raises `OptionError` or `SchemaError` for an invalid one."""
    given = {parameter.name: values.get(parameter.name, parameter.default) for parameter in PARAMETERS}
    for name, value in given.items():
        BY_NAME[name].check(value)
    options = {name: given[name] for name, left_out in (_ASKED | _ASKED_TOO).items() if given[name] != left_out}
    if "budget_ms" in options:
        options["budget_share"] = given["budget_share"]
    check_options(cast("AskOptions", options))
    return Settings(given, cast("AskOptions", options), check_region(cast("list[int]", given["region"])))


def change_settings(settings: Settings, changes: Mapping[str, Value], *, is_open: bool) -> Settings:
    """Return the settings after some changes; raises what `read_settings` does, and for what is fixed by now."""
    for name, value in changes.items():
        if is_open and BY_NAME[name].fixed and value != settings.values[name]:
            raise OptionError(f"{name} cannot change while the model is open; deactivate and clean up the node first")
    return read_settings({**settings.values, **changes})


def parse_options(text: str, settings: Settings) -> AskOptions:
    """Add the options of one question, a JSON object, to the node's own; raises `OptionError` or `SchemaError`."""
    try:
        given = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise OptionError(f"the options are not JSON: {error}") from error
    if not isinstance(given, dict):
        raise OptionError('the options are not a JSON object; give one such as {"max_tokens": 16}')
    options = cast("AskOptions", {**settings.options, **given})
    try:
        check_options(options)
    except TypeError as error:  # for an option that does not exist
        raise OptionError(str(error)) from error
    return options
