"""The node of uhd-edge as a ROS package."""
