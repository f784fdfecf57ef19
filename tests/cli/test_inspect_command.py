"""`uhd inspect` says whether the modes share an encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.answering_bundle import bundle_of, save

from uhd_edge.cli.main import exit_code

if TYPE_CHECKING:
    from pathlib import Path


def test_a_bundle_with_an_encoder_for_each_mode_is_told_what_exporting_again_gains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = save(bundle_of(tmp_path / "bundle"))
    assert exit_code(["inspect", str(old.path)]) == 0
    assert "each mode has its own encoder (exported again, both would share one" in capsys.readouterr().out
    assert exit_code(["inspect"]) == 0
    assert "own encoder" not in capsys.readouterr().out
