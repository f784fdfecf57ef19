"""`python -m uhd_edge.robot.ros2`: the node as a program, which takes `--ros-args` as all of ROS does."""

# ROS is on the package index for few machines.
# pyright: reportMissingImports=false

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from uhd_edge.robot.ros2.help import HELP, help_text, own_arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.robot.ros2.node import AnswerNode


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the node until it is interrupted; exit with 1 and one line where ROS is missing or a parameter invalid.

    `arguments` are those of the program, by default the ones it was started with.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    own = own_arguments(given)
    if any(word in HELP for word in own):
        print(help_text())
        return
    if own:
        sys.exit(f"uhd: {own[0]!r} is unexpected; parameters follow --ros-args, see --help")
    try:
        import rclpy
        from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
    except ImportError as error:
        sys.exit(f"uhd: {error}; source the setup file of ROS 2, such as /opt/ros/jazzy/setup.bash")
    from uhd_edge.robot.ros2.messages import one_line
    from uhd_edge.robot.ros2.node import AnswerNode

    try:
        rclpy.init(args=given)
        node = AnswerNode()
    except Exception as error:  # words that ROS does not know, a parameter of a wrong type or value
        rclpy.try_shutdown()
        sys.exit(f"uhd: {one_line(error)}")
    executor = MultiThreadedExecutor(num_threads=node.threads_needed)
    executor.add_node(node)
    start(node)
    try:
        while rclpy.ok():
            try:
                executor.spin()
            except (KeyboardInterrupt, ExternalShutdownException):
                break
            except Exception as error:  # such as a text that is not UTF-8, which rclpy raises from here
                node.failed(f"{type(error).__name__}: {one_line(error)}")
    finally:
        if node.phase == "opening":  # which takes seconds, and nobody waits for the model any more
            os._exit(0)
        node.close()
        executor.shutdown(timeout_sec=1.0)
        rclpy.try_shutdown()


def start(node: AnswerNode) -> None:
    """Let the node configure and activate itself once it spins, unless a lifecycle manager is to do so."""
    from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
    from rclpy.clock import Clock, ClockType
    from rclpy.lifecycle import TransitionCallbackReturn

    def open_and_answer() -> None:
        timer.cancel()
        if node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            node.trigger_activate()

    if node.settings.values["autostart"]:
        clock = Clock(clock_type=ClockType.STEADY_TIME)  # that of a simulation may stand still
        timer = node.create_timer(0.0, open_and_answer, MutuallyExclusiveCallbackGroup(), clock)


if __name__ == "__main__":
    run()
