"""The public API changes on purpose only."""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path

import pytest
from house.public_api import public_api

AGREED = Path(__file__).with_name("public_api.txt")


def test_every_public_name_has_the_signature_that_was_agreed() -> None:
    agreed, found = AGREED.read_text(encoding="utf-8").splitlines(), public_api().splitlines()
    if changes := [*unified_diff(agreed, found, "agreed", "found", n=0, lineterm="")]:
        pytest.fail(
            "the public API has changed; if that is intended, say so in CHANGELOG.md and write the list again: "
            "PYTHONPATH=.:tests python tests/house/public_api.py > tests/house/public_api.txt\n" + "\n".join(changes)
        )
