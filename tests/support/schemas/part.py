"""A pydantic model with a pattern, a choice, bounds and recursion."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Part(BaseModel):
    code: str = Field(pattern="^[A-Z0-9]{3}$")
    colour: Literal["red", "green", "white"]
    count: int = Field(ge=0, le=9)
    below: Part | None = None
