"""A disk that is full, limited or read-only is reported in one line, and nothing is left behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from support.export.outcome import one_line, run_python

from uhd_edge.export import bundle_writer
from uhd_edge.export.export import export_bundle
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import OutputError

LIMITED = """
import resource, sys
from pathlib import Path
from uhd_edge.export.bundle_writer import BundleWriter
from uhd_edge.runtime.errors import OutputError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with BundleWriter(Path(sys.argv[1])) as writer:
        writer.copy(Path(sys.argv[2]), "llm.gguf")
except OutputError as error:
    print(error)
"""


def test_a_file_over_the_limit_is_reported_in_one_line(tmp_path: Path, qwen3_bundle: Bundle) -> None:
    done = run_python(LIMITED, tmp_path / "bundle", qwen3_bundle.llm_path)
    assert done.stdout.splitlines() == [
        f"{tmp_path / 'bundle'}: a file is larger than the limit; raise it (ulimit -f) and export again"
    ], done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "said"),
    [(errno.ENOSPC, "no space left on the disk"), (errno.EDQUOT, "quota"), (errno.EROFS, "read-only")],
)
def test_a_disk_that_fills_up_is_reported_in_one_line(
    tmp_path: Path, quick: Any, monkeypatch: pytest.MonkeyPatch, code: int, said: str
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(bundle_writer, "_to_disk", refuse)
    with pytest.raises(OutputError) as caught:
        quick(tmp_path / "made" / "bundle")
    assert said in one_line(caught)
    assert str(tmp_path / "made" / "bundle") in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_under_the_graphs_is_reported_with_the_targets_name(
    tmp_path: Path, quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OutputError("somewhere") from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("uhd_edge.export.graphs.graphs.write_graphs", full)
    with pytest.raises(OutputError, match=r"/bundle: no space left on the disk"):
        quick(tmp_path / "bundle")


@pytest.mark.parametrize("target", ["file/bundle", "file/deep/bundle", "x" * 300, "/proc/nothing/bundle"])
def test_a_place_that_cannot_be_written_is_reported_in_one_line(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError) as caught:
        export_bundle("no/such/checkpoint", tmp_path / target)
    assert "choose" in one_line(caught)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
