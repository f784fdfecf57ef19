"""A lifecycle node for ROS 2.

In: frames as `sensor_msgs`, questions as topics, services and an action. Out: answers and
diagnostics. Read `node.py` first. Without ROS import only `parameters`, `settings`, `inbox`,
`answering` and `board`.
"""
