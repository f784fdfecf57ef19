"""Subscriptions to cameras: their quality of service, and what the middleware lost on the way."""

# ROS is on the package index for few machines.
# pyright: reportMissingImports=false

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # its name in Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = (("raw", Image), ("compressed", CompressedImage))


def listen(
    node: Any, transport: str, take: Callable[[Any], None], lose: Callable[[int], None], *, reliable: bool
) -> list[Any]:
    """Subscribe to the raw topic, the compressed one or both, and return the subscriptions.

    `take` is called with each message, and `lose` with how many were sent and did not arrive,
    where the middleware tells. Parameters of ROS, `qos_overrides.TOPIC.subscription.POLICY`, change
    the quality of service; raises what rclpy does for those that there are not.
    """
    # Sensor data may be lost on the way; the few last frames of a reliable camera are not.
    quality = QoSProfile(depth=qos_profile_sensor_data.depth) if reliable else qos_profile_sensor_data
    losses = SubscriptionEventCallbacks(message_lost=lambda info: lose(info.total_count_change))
    found = []
    for name, kind in KINDS:
        if transport in (name, "both"):
            topic = "image" if name == "raw" else _compressed_topic(node)
            options = {"qos_overriding_options": QoSOverridingOptions.with_default_policies()}
            try:
                one = node.create_subscription(kind, topic, take, copy(quality), event_callbacks=losses, **options)
            except UnsupportedEventTypeError:
                one = node.create_subscription(kind, topic, take, copy(quality), **options)
            found.append(one)
    return found


def _compressed_topic(node: Any) -> str:
    """Beside the camera's topic, wherever that was remapped to, unless it was remapped by its own name."""
    own = node.resolve_topic_name("image/compressed")
    if own != node.resolve_topic_name("image/compressed", only_expand=True):
        return "image/compressed"
    return str(node.resolve_topic_name("image")) + "/compressed"
