"""The generated types of `uhd_edge_msgs`, which a workspace may lack."""

# ROS is on the package index for few machines.
# pyright: reportMissingImports=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Interfaces:
    """The types of the package: two messages, the service and the action."""

    answer: Any
    plan: Any
    ask_short: Any
    ask: Any


def find_interfaces() -> Interfaces | None:
    """Return the types, or None where the package is not built and sourced."""
    try:
        from uhd_edge_msgs.action import Ask
        from uhd_edge_msgs.msg import Answer, Plan
        from uhd_edge_msgs.srv import AskShort
    except ImportError:
        return None
    return Interfaces(Answer, Plan, AskShort, Ask)
