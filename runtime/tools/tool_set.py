"""The tools of a question: what the chat template tells the model of them, and which it may or must call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


@dataclass(frozen=True)
class Tool:
    """A function that may be called: its `definition` is what the chat template gets, `parameters` a JSON schema.

    The references of `parameters` are paths, as `follow_references` writes them.
    """

    name: str
    definition: Mapping[str, Any]
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class ToolSet:
    """Tools, and the choice among them: "auto", "none", "required", or the name of one that must be called.

    `several` says that one answer may have more calls than one.
    """

    tools: tuple[Tool, ...] = ()
    choice: str = "auto"
    several: bool = True

    @property
    def definitions(self) -> tuple[Mapping[str, Any], ...]:
        """What the chat template gets."""
        return tuple(tool.definition for tool in self.tools)

    @property
    def callable(self) -> tuple[Tool, ...]:
        """Those that may be called."""
        if self.choice == "none":
            return ()
        return tuple(tool for tool in self.tools if self.choice in ("auto", "required", tool.name))

    @property
    def must_call(self) -> bool:
        """Whether the answer must be a call."""
        return self.choice not in ("auto", "none")


NO_TOOLS = ToolSet()
