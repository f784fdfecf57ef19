"""Pages of mapped files that are given back: gone from the process, and nothing lost."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import pytest

from uhd_edge.engines.mapped_files import given_back

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /proc here")

SIZE = 8 << 20
CONTENT = bytes(range(256)) * (SIZE // 256)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "a file with a space.weights"
    file.write_bytes(CONTENT)
    return file


def resident(file: Path) -> int:
    """Kilobytes of `file` that this process has in memory."""
    total, within = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(maxsplit=1)[0]:
            within = line.endswith(str(file))
        elif within and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total


def test_what_is_read_inside_is_given_back_and_can_be_read_again(file: Path) -> None:
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert bytes(mapped) == CONTENT
        assert resident(file) >= SIZE // 1024
        with given_back([file]):
            assert bytes(mapped) == CONTENT
        assert resident(file) == 0
        assert bytes(mapped) == CONTENT


def test_what_was_written_into_a_private_mapping_stays(file: Path) -> None:
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        mapped[:4] = b"kept"
        with given_back([file]):
            pass
        assert mapped[:4] == b"kept"


def test_other_files_are_left_alone(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.weights"
    other.write_bytes(CONTENT)
    with other.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert bytes(mapped) == CONTENT
        with given_back([file]):
            pass
        assert resident(other) >= SIZE // 1024
