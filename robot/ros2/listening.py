"""Subscriptions to cameras: their quality of service, and what the middleware lost on the way."""

# ROS is on the package index for few machines.
# pyright: reportMissingImports=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # its name in Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = (("raw", Image, "image"), ("compressed", CompressedImage, "image/compressed"))


def listen(
    node: Any, transport: str, take: Callable[[Any], None], lose: Callable[[int], None], *, reliable: bool
) -> list[Any]:
    """Subscribe to the raw topic, the compressed one or both, and return the subscriptions.

    `take` is called with each message, and `lose` with how many were sent and did not arrive,
    where the middleware tells.
    """
    # Sensor data may be lost on the way; the few last frames of a reliable camera are not.
    quality = QoSProfile(depth=qos_profile_sensor_data.depth) if reliable else qos_profile_sensor_data
    losses = SubscriptionEventCallbacks(message_lost=lambda info: lose(info.total_count_change))
    found = []
    for name, kind, topic in KINDS:
        if transport in (name, "both"):
            try:
                one = node.create_subscription(kind, topic, take, quality, event_callbacks=losses)
            except UnsupportedEventTypeError:
                one = node.create_subscription(kind, topic, take, quality)
            found.append(one)
    return found
