"""The two ways to compress a picture, and the precisions of a bundle's graphs."""

from __future__ import annotations

from typing import Literal

# By how much the vision tower and the connector together reduce the number of patches.
Mode = Literal["16x", "4x"]
Precision = Literal["fp32", "fp16", "int8", "fp8", "nvfp4"]
