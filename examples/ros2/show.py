"""Prints the answers of the node, and how long each took."""

import json
from contextlib import suppress

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_msgs.msg import String


def show(message: String) -> None:
    """Print one answer."""
    said = json.loads(message.data)
    print(f"frame {said['frame']}: {said['answer']} ({said['timings_ms']['total']:.0f} ms)", flush=True)


rclpy.init()
node = Node("show")
node.create_subscription(String, "/uhd_edge/answer_json", show, 10)
with suppress(KeyboardInterrupt, ExternalShutdownException):
    rclpy.spin(node)
