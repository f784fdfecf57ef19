"""An answer that takes long, whatever a random model says on this processor: its schema does not let it end."""

from __future__ import annotations

from typing import Any

LONG: dict[str, Any] = {"type": "array", "items": {"type": "integer"}, "minItems": 2000}
