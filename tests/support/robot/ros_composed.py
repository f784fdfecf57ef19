"""A program that holds the node beside one of its own, fails to activate it, and destroys it while it is active."""

from __future__ import annotations

import json
import threading
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

from uhd_edge.robot.ros2.node import AnswerNode


class FailsOnce(AnswerNode):
    failed = False

    def on_activate(self, state: Any) -> Any:
        done = super().on_activate(state)
        if not self.failed:
            self.failed = True
            raise RuntimeError("what a program adds may fail")
        return done


def what_is_held() -> dict[str, bool]:
    answering = any(thread.name == "uhd-edge answers" for thread in threading.enumerate())
    return {"answering": answering, "open": node.is_open}


rclpy.init()
node, other = FailsOnce("left", parameter_overrides=[Parameter("autostart", value=False)]), Node("other")
executor = SingleThreadedExecutor()
executor.add_node(node)
executor.add_node(other)
told = {}
for moment in ("failed", "active"):
    node.trigger_configure()
    node.trigger_activate()
    executor.spin_once(timeout_sec=0.1)
    told[moment] = what_is_held()
node.destroy_node()
other.destroy_node()
print(json.dumps(told | {"destroyed": what_is_held()}))
rclpy.try_shutdown()
