"""The program's own arguments are told from those of ROS, and it says what it is, without ROS."""

from __future__ import annotations

import pytest

from uhd_edge.robot.ros2.__main__ import run
from uhd_edge.robot.ros2.help import own_arguments
from uhd_edge.robot.ros2.parameters import PARAMETERS


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_lists_every_parameter_and_starts_nothing(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    run([word, "--ros-args", "-p", "rate:=1.0"])
    said = capsys.readouterr().out
    assert said.startswith("Usage: ")
    for parameter in PARAMETERS:
        assert f"\n  {parameter.name}\n" in said
    assert max(map(len, said.splitlines())) <= 100


@pytest.mark.parametrize(
    ("given", "own"),
    [
        ([], []),
        (["--ros-args", "-p", "rate:=1.0"], []),
        (["a", "--ros-args", "-r", "image:=b", "--", "c"], ["a", "c"]),
        (["--", "a"], ["--", "a"]),
        (["--ros-args", "b", "--ros-args", "c", "--", "--help"], ["--help"]),
    ],
)
def test_what_is_for_ros_is_left_to_it(given: list[str], own: list[str]) -> None:
    assert own_arguments(given) == own
