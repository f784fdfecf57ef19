"""Messages from the values of JSON, and values from messages."""

from __future__ import annotations

import base64
from typing import Any

from sensor_msgs.msg import CompressedImage, Image


def as_image(kind: str = "Image", data: str = "", stamp: int = 0, **fields: Any) -> Any:
    """Build a message; `data` is in base64, and `stamp` in nanoseconds."""
    message = {"Image": Image, "CompressedImage": CompressedImage}[kind](**fields)
    message.data = base64.b64decode(data)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
    message.header.frame_id = "camera"
    return message


def with_images(message: Any, request: dict[str, Any]) -> Any:
    """Fill the fields of a question; its images are values of `as_image`."""
    for name in ("images", "compressed_images"):
        kind = "Image" if name == "images" else "CompressedImage"
        setattr(message, name, [as_image(kind, **image) for image in request.pop(name, [])])
    for name, value in request.items():
        setattr(message, name, value)
    return message


def plain(message: Any) -> Any:
    """What JSON can say of a message."""
    if hasattr(message, "get_fields_and_field_types"):
        return {name: plain(getattr(message, name)) for name in message.get_fields_and_field_types()}
    return [plain(one) for one in message] if hasattr(message, "typecode") or isinstance(message, list) else message
