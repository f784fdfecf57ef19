"""A node for dora-rs dataflows.

In: frames and questions. Out: answers, and the health of the node. Read `node.py` first. `ros2/` is the
node for ROS 2.
"""
