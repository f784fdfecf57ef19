"""Sizes of a bundle's model, and what older bundles lack of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from uhd_edge.runtime.bundles.bundle import MANIFEST, Bundle
from uhd_edge.runtime.bundles.bundle_sizes import read_sizes
from uhd_edge.runtime.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_bundle_from_before_the_width_was_recorded_is_valid_and_is_told_what_is_missing(tmp_path: Path) -> None:
    builtin = Bundle.open()
    old = builtin.manifest.model_dump(mode="json")
    del old["vision"]["intermediate_size"]
    for name in old["files"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(builtin.path / name)
    (tmp_path / MANIFEST).write_text(json.dumps(old))
    opened = Bundle.open(tmp_path)
    assert opened.manifest.vision.intermediate_size is None
    with pytest.raises(BundleError, match="intermediate_size is missing"):
        read_sizes(opened)


def test_an_export_records_the_width(qwen3_bundle: Bundle) -> None:
    assert qwen3_bundle.manifest.vision.intermediate_size == 80
