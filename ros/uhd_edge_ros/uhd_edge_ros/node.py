"""`ros2 run uhd_edge_ros node`."""

import sys


def main() -> None:
    """Run the node, or say how to install what it is made of."""
    try:
        from uhd_edge.robot.ros2.__main__ import run
    except ImportError as error:
        sys.exit(f"{error}; install uhd-edge for the Python of ROS ({sys.executable}): pip install FOLDER, its clone")
    run()
