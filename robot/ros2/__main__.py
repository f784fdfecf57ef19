"""`python -m uhd_edge.robot.ros2`: the node as a program, which takes `--ros-args` as all of ROS does."""

# ROS is on the package index for few machines.
# pyright: reportMissingImports=false

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.robot.ros2.node import AnswerNode


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the node until it is interrupted; exit with 1 and one line where ROS is missing or a parameter invalid."""
    try:
        import rclpy
        from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
    except ImportError as error:
        sys.exit(f"uhd: {error}; source the setup file of ROS 2, such as /opt/ros/jazzy/setup.bash")
    from uhd_edge.robot.ros2.node import AnswerNode

    try:
        rclpy.init(args=arguments)
        node = AnswerNode()
    except Exception as error:  # words that ROS does not know, a parameter of a wrong type or value
        rclpy.try_shutdown()
        sys.exit(f"uhd: {' '.join(str(error).split())}")
    executor = MultiThreadedExecutor(num_threads=node.threads_needed)
    executor.add_node(node)
    try:
        start(node)
        while rclpy.ok():
            try:
                executor.spin()
            except (KeyboardInterrupt, ExternalShutdownException):
                break
            except Exception as error:  # such as a text that is not UTF-8, which rclpy raises from here
                node.failed(f"{type(error).__name__}: {' '.join(str(error).split())}")
    finally:
        node.close()
        executor.shutdown(timeout_sec=1.0)
        rclpy.try_shutdown()


def start(node: AnswerNode) -> None:
    """Configure and activate the node, unless a lifecycle manager is to do so."""
    if node.settings.values["autostart"]:
        from rclpy.lifecycle import TransitionCallbackReturn

        if node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            node.trigger_activate()


if __name__ == "__main__":
    run()
