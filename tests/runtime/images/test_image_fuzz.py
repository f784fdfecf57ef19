"""Damaged and hostile files: each gives an image or an `ImageError`, in bounded memory and time, and nothing else."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image
from support import mutated_images

from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.images.formats.jpeg_scans import MOST_SCANS, count_scans
from uhd_edge.runtime.images.loading import DEFAULT_MAX_PIXELS, load_image

DRAWN = 2000
MOST_MEGABYTES = 12 * DEFAULT_MAX_PIXELS / 2**20 + 200  # three pictures of four bytes a pixel, and Python


def test_a_damaged_file_is_an_image_or_an_error_of_ours_and_nothing_else() -> None:
    """In a process of its own: a crash, and what a C library prints, are seen too."""
    program = [sys.executable, mutated_images.__file__, "0", str(DRAWN)]
    child = subprocess.run(program, capture_output=True, text=True, check=False, timeout=600)
    assert (child.returncode, child.stderr) == (0, "")
    told = json.loads(child.stdout)
    assert told["wrong"] == []
    assert told["megabytes"] < MOST_MEGABYTES
    assert told["slowest"][0] < 20, "seconds of processor time"
    for kind in mutated_images.KINDS:
        counts = told["counts"][kind]
        assert sum(counts.values()) == DRAWN // len(mutated_images.KINDS)
        assert min(counts["image"], counts["refused"]) > 20, "damage neither destroys nor spares every file"


def test_the_undamaged_files_are_images() -> None:
    for files in mutated_images.originals().values():
        for data in files:
            assert load_image(data).size in ((32, 24), (24, 32))


@pytest.mark.parametrize("kind", ["transparent", "palette"])
def test_a_large_transparent_picture_takes_no_more_memory_than_three_pictures(kind: str, tmp_path: Path) -> None:
    """A few kilobytes that become 25 megapixels, a quarter of what is allowed; a smaller one comes before."""
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    small.write_bytes(blank_png(10, 10, transparent=kind == "transparent"))
    large.write_bytes(blank_png(5000, 5000, transparent=kind == "transparent"))
    assert large.stat().st_size < 120_000
    program = (
        "import sys\n"
        "from uhd_edge.bench.memory import peak_memory\n"
        "from uhd_edge.runtime.images.loading import load_image\n"
        "for file in sys.argv[1:]:\n"
        "    load_image(file)\n"
        "    print(peak_memory())"
    )
    child = subprocess.run([sys.executable, "-c", program, small, large], capture_output=True, text=True, check=True)
    before, after = map(int, child.stdout.split())
    assert 3 * 5000 * 5000 < after - before < 12 * 5000 * 5000


def blank_png(width: int, height: int, *, transparent: bool) -> bytes:
    """An RGBA picture, or one with a palette whose first colour is clear."""

    def chunk(name: bytes, content: bytes) -> bytes:
        named = name + content
        return len(content).to_bytes(4, "big") + named + zlib.crc32(named).to_bytes(4, "big")

    row = bytes(1 + width * (4 if transparent else 1))
    squeeze = zlib.compressobj(6)
    rows = b"".join(squeeze.compress(row) for _ in range(height)) + squeeze.flush()
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 6 if transparent else 3, 0, 0, 0])
    palette = b"" if transparent else chunk(b"PLTE", bytes(6)) + chunk(b"tRNS", b"\x00\xff")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def progressive(repeats: int, thumbnail: bytes = b"") -> bytes:
    """A progressive JPEG that repeats its last scan so often, with a thumbnail in its EXIF."""
    buffer = io.BytesIO()
    Image.new("L", (64, 64), 130).save(buffer, "JPEG", progressive=True, exif=b"Exif\x00\x00" + thumbnail)
    whole = buffer.getvalue()
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * repeats + b"\xff\xd9"


def test_scans_are_counted_by_the_markers_of_the_picture_itself() -> None:
    plain = count_scans(progressive(0))
    assert 1 < plain < 20
    assert count_scans(progressive(7)) == plain + 7
    assert count_scans(progressive(7, thumbnail=b"\xff\xda\xff\xd9" * 200)) == plain + 7
    assert count_scans(progressive(7) + b"\xff\xda" * 200) == plain + 7, "what follows the picture is not part of it"
    assert count_scans(progressive(0)[:300]) <= plain
    assert count_scans(b"\xff\xd8") == count_scans(b"") == 0


def test_a_jpeg_that_paints_over_itself_without_end_is_refused_and_an_ordinary_one_is_not(tmp_path: Path) -> None:
    endless = progressive(MOST_SCANS)
    file = tmp_path / "endless.jpg"
    file.write_bytes(endless)
    for image in (endless, file, Image.open(file)):
        with pytest.raises(ImageError, match="over 100 scans"):
            load_image(image)
    plain = load_image(progressive(0)).tobytes()
    fine = [progressive(40), progressive(3, thumbnail=b"\xff\xda" * 200), progressive(3) + b"\xff\xda" * 200]
    assert [load_image(image).tobytes() == plain for image in fine] == [True] * 3
