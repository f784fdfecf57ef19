"""Raw pixels as cameras send them become pictures that the runtime takes.

In: bytes, an encoding of ROS's `sensor_msgs/Image`, a size. Out: uint8 [H, W, 3] in RGB, or grey
[H, W]. Read `decoding.py` first.
"""
