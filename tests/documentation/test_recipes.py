"""The recipes in examples/ run, and each says in three commands how."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from support.images.videos import write_video
from support.places import EXAMPLES, ROOT
from support.robot.ros_graph import needs_ros, ros_environment, ros_python
from support.running_server import CODE, running

if TYPE_CHECKING:
    from pathlib import Path

RECIPES = ("dora", "loop", "openai", "ros2")  # the first is run in tests/robot/test_dataflow.py
BENCH = EXAMPLES / "bench.png"


def commands(recipe: str) -> list[str]:
    page = (EXAMPLES / recipe / "README.md").read_text(encoding="utf-8")
    return [line[2:] for line in page.splitlines() if line.startswith("$ ")]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_has_three_commands_and_names_files_that_exist(recipe: str) -> None:
    lines = commands(recipe)
    assert len(lines) == 3
    named = [word for line in lines for word in line.split() if word.startswith("examples/")]
    assert [word for word in named if not (ROOT / word).exists()] == []


def test_every_folder_of_examples_is_a_recipe_but_for_the_containers() -> None:
    folders = sorted(folder.name for folder in EXAMPLES.iterdir() if folder.is_dir())
    assert folders == sorted([*RECIPES, "containers"])


def test_the_loop_asks_until_a_film_ends(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mp4", [np.asarray(Image.open(BENCH).convert("RGB"))] * 5)
    command = [sys.executable, EXAMPLES / "loop" / "loop.py", tmp_path / "film.mp4", CODE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (set(done.stdout.splitlines()), done.returncode) == ({"JX7"}, 0), done.stderr


def test_the_client_of_openai_prints_the_answer() -> None:
    with running() as server:
        environment = {**os.environ, "OPENAI_BASE_URL": f"{server.url}/v1"}
        command = [sys.executable, EXAMPLES / "openai" / "ask.py", BENCH, CODE]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.returncode) == ("JX7\n", 0), done.stderr


@needs_ros
def test_the_camera_the_node_and_the_listener_of_ros_make_a_graph() -> None:
    environment = ros_environment(random.SystemRandom().randrange(1, 233))
    node = [ros_python(), "-m", "uhd_edge.robot.ros2", "--ros-args", "-p", "reliable:=true"]
    node += ["-p", "question:=Which object is the leftmost?"]
    scripts = [[ros_python(), str(EXAMPLES / "ros2" / name)] for name in ("camera.py", "show.py")]
    started = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for command in [node, *scripts]
    ]
    said: list[str] = []
    try:
        assert started[-1].stdout is not None
        for line in started[-1].stdout:
            said.append(line)
            if {"the black circle", "the white star"} <= {one.partition(": ")[2].rpartition(" (")[0] for one in said}:
                break
            assert len(said) < 60, said
    finally:
        for process in started:
            process.send_signal(signal.SIGINT)
        ended = [process.wait(30) for process in started]
        for process in started:
            process.stdout.close()  # type: ignore[union-attr]
    assert ended[0] == 0  # the scripts may end in an error of rclpy.spin, if it was stopped between two waits
