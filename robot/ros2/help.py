"""What the program says of itself, without ROS."""

from __future__ import annotations

import json
from textwrap import fill
from typing import TYPE_CHECKING

from uhd_edge.robot.ros2.parameters import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.robot.ros2.parameters import Parameter

HELP = ("-h", "--help")

_HEAD = """\
Usage: python3 -m uhd_edge.robot.ros2 --ros-args [-p NAME:=VALUE]..
                [--params-file FILE] [-r image:=TOPIC]

  A ROS 2 lifecycle node that answers questions about the newest frame of a camera.

  Topics: image, image/compressed, ~/question in; ~/answer, ~/answer_json, /diagnostics out.
  Action ~/ask, services ~/ask_short and ~/ask_now.

Parameters:"""


def own_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that are not for ROS, which stand between `--ros-args` and `--`, or the end."""
    own: list[str] = []
    for_ros = False
    for word in arguments:
        if word == "--ros-args" or (word == "--" and for_ros):
            for_ros = word == "--ros-args"
        elif not for_ros:
            own.append(word)
    return own


def help_text() -> str:
    """Describe the program and its parameters."""
    return "\n".join([_HEAD, *map(_describe, PARAMETERS)])


def _describe(parameter: Parameter) -> str:
    default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
    choices = f" One of {', '.join(map(json.dumps, parameter.choices))}." if parameter.choices else ""
    about = f"{parameter.description}{choices} [default: {json.dumps(default)}]"
    return f"  {parameter.name}\n{fill(about, 96, initial_indent=' ' * 8, subsequent_indent=' ' * 8)}"
