"""Whether a machine has the memory that is predicted: a Jetson's rule is that of `uhd plan` for its size."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from uhd_edge.engines.building.targets import find_target
from uhd_edge.engines.errors import EngineBuildError
from uhd_edge.engines.tensorrt.jetson import JetsonFiles
from uhd_edge.runtime.checking.building import engine_orders
from uhd_edge.runtime.memory.building import build_need, card_build_need, verify_need
from uhd_edge.runtime.memory.enough import fits, require_memory
from uhd_edge.runtime.memory.machine import MachineMemory, describe_memory, machine_memory, usable_memory
from uhd_edge.runtime.memory.measured import SYSTEM
from uhd_edge.runtime.memory.need import MemoryNeed, MemoryPart
from uhd_edge.runtime.vision.encoding import views_at_once
from uhd_edge.runtime.vision.slicing import usual_view

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.bundle import Bundle

GB = 10**9
NEED = MemoryNeed((MemoryPart("weights", 2 * GB, "files"), MemoryPart("program", GB, "measured")))
MEMINFO = "MemTotal:  {} kB\nMemAvailable:  {} kB\nSwapTotal:  {} kB\nSwapFree:  {} kB\n"
SWAPS = "Filename  Type  Size  Used  Priority\n/dev/zram0  partition  1000000  0  5\n"


def needed(size: float) -> MemoryNeed:
    return MemoryNeed((MemoryPart("all", round(size * GB), "given"),))


@pytest.fixture
def orin_nano(tmp_path: Path) -> Path:
    """What the kernel of an Orin Nano of 8 GB says: swap in compressed memory, 6.3 GB free."""
    (tmp_path / "meminfo").write_text(MEMINFO.format(7772 * 1024, 6_300_000, 3886 * 1024, 3886 * 1024))
    (tmp_path / "swaps").write_text(SWAPS)
    (tmp_path / "device-tree").mkdir()
    (tmp_path / "device-tree/model").write_text("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit\0")
    return tmp_path


def test_a_board_refuses_what_the_plan_for_it_calls_too_much(orin_nano: Path) -> None:
    board = machine_memory(orin_nano, orin_nano, JetsonFiles(orin_nano / "device-tree/model", orin_nano / "none"))
    assert board == MachineMemory(7772 * 2**20 - SYSTEM, 6_300_000 * 1024, is_shared=True)
    for size in (7.42, 6.5):
        assert not fits(needed(size), usable_memory(8 * GB))
        with pytest.raises(EngineBuildError, match="without its system and without swap, which a GPU cannot use"):
            require_memory(needed(size), board, "building", ignore=False)
    assert fits(needed(5.8), usable_memory(8 * GB))
    assert "close other programs" in str(require_memory(needed(5.8), board, "building", ignore=False))
    assert require_memory(needed(5.4), board, "building", ignore=False) is None


def test_a_build_that_can_never_have_its_memory_is_refused_unless_told_otherwise() -> None:
    small, busy, large = (MachineMemory(*(size * GB for size in sizes)) for sizes in ((2, 2), (8, 1), (8, 4)))
    with pytest.raises(EngineBuildError, match=r"building takes about 3.00 GB \(weights 2.00 GB.*--ignore-memory"):
        require_memory(NEED, small, "building", ignore=False)
    assert "this machine has 2.00 GB without its system" in str(require_memory(NEED, small, "building", ignore=True))
    assert "close other programs" in str(require_memory(NEED, busy, "building", ignore=False))
    assert require_memory(NEED, large, "building", ignore=False) is None
    assert require_memory(NEED, None, "building", ignore=False) is None


def test_the_memory_of_a_machine_is_what_the_kernel_says_within_its_container(tmp_path: Path) -> None:
    def found() -> MachineMemory | None:
        return machine_memory(tmp_path, tmp_path, JetsonFiles(tmp_path / "none", tmp_path / "none"))

    assert found() is None
    (tmp_path / "meminfo").write_text(MEMINFO.format(8_000_000, 5_000_000, 3_000_000, 3_000_000))
    plain = MachineMemory(8_000_000 * 1024 - SYSTEM, 5_000_000 * 1024)
    assert found() == plain
    (tmp_path / "swaps").write_text(
        f"{SWAPS}/swapfile  file  2000000  0  -2\n"
    )  # a disk's counts, compressed memory not
    assert found() == MachineMemory(plain.usable + 2_000_000 * 1024, plain.available)
    (tmp_path / "memory.max").write_text("max\n")
    assert found() == MachineMemory(plain.usable + 2_000_000 * 1024, plain.available)
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert found() == MachineMemory(3000000, 2000000)
    (tmp_path / "memory.stat").write_text("anon 300000\nfile 700000\ninactive_file 600000\nactive_file 100000\n")
    assert found() == MachineMemory(3000000, 2600000)  # a file that was read once fills no memory


def test_memory_is_described_as_programs_can_have_it_and_not_as_pages_that_nobody_uses(tmp_path: Path) -> None:
    assert describe_memory(tmp_path, tmp_path) == "unknown"
    (tmp_path / "meminfo").write_text(MEMINFO.format(8_000_000, 5_000_000, 0, 0) + "MemFree:  90000 kB\n")
    assert describe_memory(tmp_path, tmp_path) == "5.1 GB free of 8.2 GB"
    (tmp_path / "memory.max").write_text("4000000000\n")
    (tmp_path / "memory.current").write_text("1000000000\n")
    assert describe_memory(tmp_path, tmp_path) == "3.0 GB free of the 4.0 GB that this container may have, of 8.2 GB"


def test_comparing_counts_the_scores_of_attention_where_the_reference_has_them(qwen3_bundle: Bundle) -> None:
    """FP32 graphs are fused while they are opened. FP16 graphs, the reference of a bundle without, are not."""

    def for_a_patch(kinds: set[str], times: int) -> float:
        manifest = qwen3_bundle.manifest
        side = times * manifest.preprocessing.scale_resolution
        preprocessing = manifest.preprocessing.model_copy(update={"scale_resolution": side})
        graphs = {
            mode: {kind: pair for kind, pair in pairs.items() if kind in kinds}
            for mode, pairs in manifest.graphs.items()
        }
        changed = manifest.model_copy(update={"preprocessing": preprocessing, "graphs": graphs})
        need = verify_need(replace(qwen3_bundle, manifest=changed), ["16x"])
        patches = usual_view(preprocessing, "16x")
        return sum(part.bytes for part in need.parts if part.name == "activations") / patches / views_at_once(patches)

    assert for_a_patch({"fp32", "fp16"}, 2) == for_a_patch({"fp32", "fp16"}, 1)
    assert for_a_patch({"fp16"}, 2) > for_a_patch({"fp16"}, 1) > for_a_patch({"fp32", "fp16"}, 1)


def test_on_a_pc_the_card_s_memory_is_not_asked_of_the_machine(qwen3_bundle: Bundle) -> None:
    orders = engine_orders(qwen3_bundle, modes=["16x"], precision="fp16")
    here = find_target("here")
    shared, host = (build_need(qwen3_bundle, orders, here, is_shared=one) for one in (True, False))
    card = {part.name: part.bytes for part in card_build_need(qwen3_bundle, orders).parts}
    assert {"workspace", "activations"} < card.keys()
    assert {part.name for part in host.parts} == {"CUDA", "weights"}
    assert shared.total - host.total == card["workspace"] + card["activations"]
