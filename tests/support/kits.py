"""Makes kits, and a folder that stands in for the device on which their script runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from support.places import STAND_INS

from uhd_edge.engines.building.kit import write_kit
from uhd_edge.engines.building.targets import find_jetpack, find_target
from uhd_edge.runtime.checking.building import engine_orders, kit_contents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.engines.building.targets import BuiltPrecision
    from uhd_edge.runtime.bundles.bundle import Bundle


STAND_IN = STAND_INS / "trtexec.py"
PROGRAMS = "sh awk dirname basename sed grep head tr wc cat rm mv mkdir sha256sum flock"  # every Ubuntu has these
ENGINES = ("connector-fp16", "encoder-fp16")  # in the kit of the plain checkpoint


def make_kit(
    bundle: Bundle,
    output: Path,
    jetpack: str | None = None,
    target: str = "orin",
    precisions: tuple[BuiltPrecision, ...] = ("fp16",),
) -> Path:
    wanted = find_target(target)
    return write_kit(
        output,
        kit_contents(bundle, modes=["16x", "4x"], precisions=precisions),
        [order for one in precisions for order in engine_orders(bundle, modes=["16x", "4x"], precision=one)],
        target=wanted,
        jetpack=find_jetpack(wanted, jetpack),
        progress=lambda _: None,
    )


def install_programs(folder: Path) -> Path:
    """Fill `folder` with the programs that a JetPack has, and a stand-in for trtexec."""
    folder.mkdir()
    for name in PROGRAMS.split():
        found = shutil.which(name)
        assert found, f"{name} is not on this machine"
        (folder / name).symlink_to(found)
    install(folder / "trtexec", f'exec "{sys.executable}" "{STAND_IN}" "$@"')
    return folder


def install(program: Path, line: str) -> None:
    program.write_text(f"#!/bin/sh\n{line}\n")
    program.chmod(0o755)


def install_uhd(device: Path, *, code: int = 0, says: str = "passed") -> Path:
    """Install a `uhd` that writes down its arguments, prints `says` and exits with `code`."""
    calls = device / "calls.txt"
    install(device / "uhd", f"printf '%s\\n' \"$*\" >>'{calls}'\nprintf '%s' '{says}'\nexit {code}")
    return calls


def build(
    kit: Path, device: Path, *arguments: str, does: str = "", more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(kit / "build.sh"), *arguments],
        env={"PATH": str(device), "TRTEXEC_DOES": does, **(more or {})},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def built_engines(kit: Path) -> list[str]:
    return sorted(file.name for file in (kit / "bundle/engines/orin").glob("*.engine"))
