"""The wheel that goes into a kit: from a checkout it is the one that setuptools builds there."""

from __future__ import annotations

import configparser
import sys
from collections import Counter
from email import message_from_bytes
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from support.places import ROOT
from support.wheels import build_wheel, copy_source

from uhd_edge.engines.building import own_wheel
from uhd_edge.engines.building.own_wheel import write_own_wheel
from uhd_edge.engines.building.package_description import describe_package
from uhd_edge.engines.errors import EngineBuildError

if TYPE_CHECKING:
    from email.message import Message
    from pathlib import Path


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_own_wheel(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = copy_source(tmp_path_factory.mktemp("source"))
    return build_wheel(source, source / "wheel")


def information(wheel: Path, name: str) -> bytes:
    with ZipFile(wheel) as archive:
        (found,) = (one for one in archive.namelist() if one.endswith(f".dist-info/{name}"))
        return archive.read(found)


def metadata(wheel: Path) -> Message:
    return message_from_bytes(information(wheel, "METADATA"))


def requirements(found: Message) -> Counter[tuple[object, ...]]:
    """What is required, and under which Pythons, machines and extras: markers are evaluated, not compared as text."""
    places = [
        {"python_version": python, "platform_machine": machine, "extra": extra}
        for python in ("3.10", "3.11", "3.14", "3.15")
        for machine in ("x86_64", "aarch64", "riscv64")
        for extra in ("", *found.get_all("Provides-Extra", []))
    ]
    read = [Requirement(line) for line in found.get_all("Requires-Dist", [])]
    wanted = [tuple(one.marker is None or one.marker.evaluate(place) for place in places) for one in read]
    return Counter(
        (one.name, str(one.specifier), frozenset(one.extras), where) for one, where in zip(read, wanted, strict=True)
    )


def test_it_says_what_pyproject_toml_says_now_as_setuptools_does(ours: Path, built: Path) -> None:
    found, expected = metadata(ours), metadata(built)
    del expected["Dynamic"]  # which of the fields setuptools has added
    assert set(found.keys()) == set(expected.keys())
    for name in set(expected.keys()) - {"Requires-Dist"}:
        assert found.get_all(name) == expected.get_all(name), name
    assert requirements(found) == requirements(expected)
    assert found.get_payload() == expected.get_payload()
    assert len(found.get_all("Provides-Extra", [])) > 10


def test_it_has_the_license_and_the_commands(ours: Path, built: Path) -> None:
    for wheel in (ours, built):
        assert information(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    found, expected = configparser.ConfigParser(), configparser.ConfigParser()
    found.read_string(information(ours, "entry_points.txt").decode())
    expected.read_string(information(built, "entry_points.txt").decode())
    assert found == expected
    assert "uhd" in found["console_scripts"]


def test_it_holds_the_files_that_setuptools_takes_and_no_others(ours: Path, built: Path) -> None:
    with ZipFile(ours) as one, ZipFile(built) as other:
        assert sorted(name for name in one.namelist() if ".dist-info/" not in name) == sorted(
            name for name in other.namelist() if ".dist-info/" not in name
        )


def test_an_installation_older_than_the_checkout_does_not_speak_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pip install -e` notes down what pyproject.toml said then."""
    source = copy_source(tmp_path / "source")
    text = (source / "pyproject.toml").read_text(encoding="utf-8")
    changed = text.replace('version = "0.1.0"', 'version = "0.1.1"').replace('"click>=8.1"', '"click>=8.2"')
    (source / "pyproject.toml").write_text(changed, encoding="utf-8")
    monkeypatch.setattr(own_wheel.resources, "files", lambda _name: source / "uhd_edge")
    wheel = write_own_wheel(tmp_path)
    assert wheel.name == "uhd_edge-0.1.1-py3-none-any.whl"
    assert metadata(wheel)["Version"] == "0.1.1"
    assert "click>=8.2" in metadata(wheel).get_all("Requires-Dist", [])


def test_python_before_3_11_reads_it_with_what_pip_brings_or_says_what_to_install(
    ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tomllib", "tomli"):
        monkeypatch.setitem(sys.modules, name, None)
    assert write_own_wheel(tmp_path).read_bytes() == ours.read_bytes()
    monkeypatch.setitem(sys.modules, "pip._vendor.tomli", None)
    with pytest.raises(EngineBuildError, match=r"pyproject\.toml: Python before 3\.11 .*pip install tomli"):
        describe_package(ROOT / "uhd_edge")
