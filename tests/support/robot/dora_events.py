"""Events in the form in which dora gives them to a node."""

from __future__ import annotations

from typing import Any

STAR = "What is the code on the white star?"


def sent(kind: str, value: object = None) -> dict[str, Any]:
    return {"type": "INPUT", "id": kind, "value": value, "metadata": {}}


STOP = {"type": "STOP", "id": "MANUAL"}
LAST = {"type": "STOP", "id": "ALL_INPUTS_CLOSED"}
