"""Reads the sizes of a bundle's vision model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.runtime.bundles.bundle import MANIFEST
from uhd_edge.runtime.bundles.model_sizes import ModelSizes
from uhd_edge.runtime.errors import BundleError

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.bundle import Bundle


def read_sizes(bundle: Bundle) -> ModelSizes:
    """Read the sizes from a bundle's manifest; raises `BundleError` for one that does not have them all."""
    manifest = bundle.manifest
    width = manifest.vision.intermediate_size
    if width is None:  # written by a version that had no use for it
        raise BundleError(
            f"{bundle.path / MANIFEST}: vision: intermediate_size is missing, the width of the tower's MLPs; "
            "export the bundle again, or write it there (vision_config.intermediate_size in the checkpoint's "
            "config.json)"
        )
    return ModelSizes(manifest.name, manifest.vision, manifest.preprocessing, width, manifest.llm.hidden_size)
