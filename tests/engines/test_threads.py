"""The kernel's own file formats, laid out in a temporary folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from uhd_edge.engines.threads import usable_cores


@pytest.fixture
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(16)), raising=False)


def kernel(folder: Path, cgroup: str, files: dict[str, str]) -> dict[str, Path]:
    proc, groups = folder / "proc", folder / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(cgroup)
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text)
    return {"proc": proc, "groups": groups}


def test_without_control_groups_the_affinity_counts(tmp_path: Path, sixteen_cores: None) -> None:
    assert usable_cores(proc=tmp_path, groups=tmp_path) == 16


def test_a_quota_of_one_and_a_half_cores_gives_two(tmp_path: Path, sixteen_cores: None) -> None:
    assert usable_cores(**kernel(tmp_path, "0::/\n", {"cpu.max": "150000 100000\n"})) == 2


def test_no_quota_leaves_all_cores(tmp_path: Path, sixteen_cores: None) -> None:
    assert usable_cores(**kernel(tmp_path, "0::/\n", {"cpu.max": "max 100000\n"})) == 16


def test_the_quota_of_a_parent_group_binds_too(tmp_path: Path, sixteen_cores: None) -> None:
    files = {"pod/cpu.max": "300000 100000\n", "pod/app/cpu.max": "max 100000\n"}
    assert usable_cores(**kernel(tmp_path, "0::/pod/app\n", files)) == 3


def test_the_first_version_of_control_groups_is_read_as_well(tmp_path: Path, sixteen_cores: None) -> None:
    files = {"cpu/app/cpu.cfs_quota_us": "400000\n", "cpu/app/cpu.cfs_period_us": "100000\n"}
    assert usable_cores(**kernel(tmp_path, "4:memory:/app\n1:cpu,cpuacct:/app\n", files)) == 4


def test_a_tiny_quota_still_leaves_one_core(tmp_path: Path, sixteen_cores: None) -> None:
    assert usable_cores(**kernel(tmp_path, "0::/\n", {"cpu.max": "1000 100000\n"})) == 1


def test_a_file_of_nonsense_is_no_quota(tmp_path: Path, sixteen_cores: None) -> None:
    assert usable_cores(**kernel(tmp_path, "0::/\n", {"cpu.max": "a lot\n"})) == 16
