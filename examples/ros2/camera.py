"""Stands in for a camera: publishes the pictures of this repository, two a second."""

from contextlib import suppress
from itertools import cycle
from pathlib import Path

import numpy as np
import PIL.Image
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import Image


class Camera(Node):
    """Publishes one picture after the other."""

    def __init__(self) -> None:
        super().__init__("camera")
        self.pictures = cycle(sorted(Path(__file__).parents[1].glob("*.png")))
        self.publisher = self.create_publisher(Image, "image", 1)
        self.create_timer(0.5, self.publish)

    def publish(self) -> None:
        """Publish the next picture."""
        pixels = np.asarray(PIL.Image.open(next(self.pictures)).convert("RGB"))
        height, width, _ = pixels.shape
        message = Image(height=height, width=width, encoding="rgb8", step=3 * width, data=pixels.tobytes())
        message.header.stamp = self.get_clock().now().to_msg()
        self.publisher.publish(message)


rclpy.init()
with suppress(KeyboardInterrupt, ExternalShutdownException):
    rclpy.spin(Camera())
