"""What the node tells about itself once a second, as `diagnostic_msgs`."""

# ROS is on the package index for few machines.
# pyright: reportMissingImports=false

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from uhd_edge.robot.ros2 import board

if TYPE_CHECKING:
    from uhd_edge.robot.ros2.answering import Counts
    from uhd_edge.robot.ros2.inbox import Inbox

LOSING = "most frames are lost on their way to the node; see 'Large frames' in docs/ros2.md"

FULL = "a question was refused, because as many wait as the parameter `queue` says"


@dataclass
class Diagnostics:
    """Builds the message; remembers what was told, so that a warning stands for news only.

    `node` is the node's name with its namespace, so that those of several nodes are told apart.
    `opening_error` says why the model could not be opened, empty otherwise.
    """

    node: str
    opening_error: str = ""
    told_failed: int = 0
    told_missed: int = 0
    told_refused: int = 0
    told_seen: int = 0
    told_lost: int = 0

    def build(self, state: str, facts: dict[str, str], inbox: Inbox | None, counts: Counts | None, stamp: Any) -> Any:
        """Return a `DiagnosticArray` with one status."""
        values = {"state": state, **facts, **_board()}
        if inbox is not None and counts is not None:
            values |= _frames(inbox, counts)
        level, message = self._judge(state, inbox, counts)
        status = DiagnosticStatus(
            level=level, name=f"{self.node}: answers", message=message, hardware_id=platform.node()
        )
        status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
        array = DiagnosticArray(status=[status])
        array.header.stamp = stamp
        return array

    def _judge(self, state: str, inbox: Inbox | None, counts: Counts | None) -> tuple[bytes, str]:
        """Return the level and the message; what failed since the last message is a warning."""
        if self.opening_error:
            return DiagnosticStatus.ERROR, self.opening_error
        if inbox is None or counts is None:
            return DiagnosticStatus.OK, state
        failed, missed = counts.failed + counts.jobs_failed, counts.budget_missed
        warnings = (
            (failed > self.told_failed, counts.last_error),
            (inbox.refused > self.told_refused, FULL),
            (missed > self.told_missed, f"budget missed: first token after {counts.first_token_ms:.0f} ms"),
            (inbox.lost - self.told_lost > inbox.seen - self.told_seen, LOSING),
        )
        self.told_failed, self.told_refused, self.told_missed = failed, inbox.refused, missed
        self.told_seen, self.told_lost = inbox.seen, inbox.lost
        for is_news, warning in warnings:
            if is_news:
                return DiagnosticStatus.WARN, warning
        return DiagnosticStatus.OK, state


def _frames(inbox: Inbox, counts: Counts) -> dict[str, str]:
    return {
        "frames_seen": str(inbox.seen),
        "frames_lost": str(inbox.lost),
        "frames_dropped": str(inbox.dropped),
        "frames_waiting": str(inbox.waiting),
        "frames_answered": str(counts.answered),
        "frames_failed": str(counts.failed),
        "frames_unchanged": str(counts.unchanged),
        "frames_cut_off": str(counts.cut_off),
        "questions_answered": str(counts.jobs),
        "questions_failed": str(counts.jobs_failed),
        "questions_refused": str(inbox.refused),
        "budget_missed": str(counts.budget_missed),
        "first_token_ms": f"{counts.first_token_ms:.1f}",
        "precision": counts.precision,
        "last_error": counts.last_error,
    }


def _board() -> dict[str, str]:
    told = {"memory_mb": f"{board.memory_mb():.0f}"}
    told |= {f"temperature_c.{zone}": f"{degrees:.1f}" for zone, degrees in board.temperatures().items()}
    return told | {f"power_w.{rail}": f"{watts:.2f}" for rail, watts in board.power_watts().items()}
