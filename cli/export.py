"""`uhd export`: a checkpoint into a bundle."""

from __future__ import annotations
