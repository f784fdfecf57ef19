"""What a board tells in its files, and nothing where it tells nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from uhd_edge.robot.ros2.board import memory_mb, power_watts, temperatures

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text + "\n")


def test_the_files_of_a_jetson_are_read(tmp_path: Path) -> None:
    write(tmp_path / "class/thermal/thermal_zone0", type="cpu-thermal", temp="48531")
    write(tmp_path / "class/thermal/thermal_zone1", type="cv0-thermal", temp="-256000")
    write(tmp_path / "class/thermal/thermal_zone2", type="gpu-thermal")
    write(tmp_path / "class/hwmon/hwmon0", name="gpio_fan", in1_label="no", in1_input="1", curr1_input="1")
    write(
        tmp_path / "class/hwmon/hwmon1",
        name="ina3221", in1_label="VDD_IN", in1_input="5064", curr1_input="1160", in2_label="VDD_SOC", in2_input="x",
    )  # fmt: skip
    assert temperatures(tmp_path) == {"cpu-thermal": 48.531}
    assert {rail: round(watts, 3) for rail, watts in power_watts(tmp_path).items()} == {"VDD_IN": 5.874}


def test_a_board_without_files_tells_nothing(tmp_path: Path) -> None:
    assert (temperatures(tmp_path), power_watts(tmp_path)) == ({}, {})


def test_the_memory_of_this_process_grows_with_what_it_holds() -> None:
    before = memory_mb()
    held = bytearray(64 * 2**20)
    held[::4096] = b"x" * math.ceil(len(held) / 4096)
    assert memory_mb() - before > 50
