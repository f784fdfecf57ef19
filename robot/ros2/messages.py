"""Messages become pictures, and answers become messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.robot.pixels.decoding import to_array
from uhd_edge.robot.pixels.framing import cut_and_turn
from uhd_edge.robot.pixels.raw_image import RawImage
from uhd_edge.runtime.images.loading import load_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from uhd_edge.robot.ros2.inbox import Frame
    from uhd_edge.robot.ros2.settings import Settings
    from uhd_edge.runtime.answer import Answer, Plan


def read_picture(message: Any) -> NDArray[Any]:
    """Return the picture of a `sensor_msgs/Image` or `CompressedImage`: uint8 [H, W, 3], or grey [H, W].

    Raises `ImageError` for anything that is not a whole picture.
    """
    if not hasattr(message, "encoding"):
        return np.asarray(load_image(bytes(message.data)))
    return to_array(
        RawImage(
            message.encoding, message.width, message.height, message.data, message.step, bool(message.is_bigendian)
        )
    )


def read_frame(message: Any, settings: Settings) -> NDArray[Any]:
    """Return the picture of a frame, cut and turned as the parameters say; raises `ImageError`."""
    return cut_and_turn(read_picture(message), settings.region, settings.values["rotate"])


def answer_json(question: str, answer: Answer, frame: Frame | None) -> str:
    """Return an answer as JSON: what `Answer.to_dict` has, the question, and the frame with its header."""
    about: dict[str, Any] = {"question": question}
    if frame is not None:
        stamp = frame.message.header.stamp
        about["header"] = {
            "stamp": {"sec": stamp.sec, "nanosec": stamp.nanosec},
            "frame_id": frame.message.header.frame_id,
        }
        about |= {"frame": frame.number, "dropped": frame.dropped}
    return _json(about | answer.to_dict())


def fill_answer(message: Any, question: str, answer: Answer, frame: Frame | None) -> Any:
    """Fill a `uhd_edge_msgs/Answer` and return it."""
    if frame is not None:
        message.header = frame.message.header
        message.frame, message.dropped = frame.number, frame.dropped
    facts = answer.to_dict()
    message.question, message.text = question, sendable(answer.text)
    message.finish_reason, message.thinking = answer.finish_reason, sendable(answer.thinking)
    message.parsed = _json(facts.get("parsed"))
    message.tool_calls = _json(facts.get("tool_calls"))
    message.vision_tokens = answer.usage.vision_tokens
    message.prompt_tokens = answer.usage.prompt_tokens
    message.completion_tokens = answer.usage.completion_tokens
    message.mode, message.precision = answer.mode, answer.precision or ""
    message.stages = list(answer.timings_ms)
    message.stage_ms = [float(milliseconds) for milliseconds in answer.timings_ms.values()]
    return message


def fill_plan(message: Any, plan: Plan) -> Any:
    """Fill a `uhd_edge_msgs/Plan` and return it."""
    for name in message.get_fields_and_field_types():
        value = getattr(plan, name)
        setattr(message, name, bool(value) if name == "within_budget" else value)
    return message


def sendable(text: str) -> str:
    """Return a text as ROS can send it: halves of surrogate pairs, which JSON has and UTF-8 has not, become U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def one_line(error: BaseException) -> str:
    """Return what an error says, in one line that ROS can send."""
    return sendable(" ".join(str(error).split()))


def _json(value: Any) -> str:
    return "" if value is None else sendable(json.dumps(value, ensure_ascii=False))
