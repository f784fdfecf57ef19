"""`uhd verify --simulate` on a bundle that has nothing to simulate: said first, and not as a missed threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from uhd_edge.cli.main import exit_code

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.bundle import Bundle


@pytest.mark.parametrize("given", [[], ["--precision", "int8"], ["--mode", "4x", "--json"]])
def test_a_bundle_without_int8_is_refused_before_anything_is_computed(
    qwen3_bundle: Bundle, capsys: Any, given: list[str]
) -> None:
    assert exit_code(["verify", str(qwen3_bundle.path), "--simulate", *given]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].endswith(f"has none in INT8; make them: uhd calibrate {qwen3_bundle.path}")
    assert "FP32" not in err  # which says that FP32 is being computed


def test_a_precision_that_was_not_calibrated_is_refused_beside_those_that_were(fp8_tiny: Bundle, capsys: Any) -> None:
    assert exit_code(["verify", str(fp8_tiny.path), "--simulate", "--precision", "int8"]) == 2
    assert "has none in INT8" in capsys.readouterr().err
