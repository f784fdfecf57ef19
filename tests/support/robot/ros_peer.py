"""The other side of the node under test, in a process of its own: does what it is told, line by line.

It reads JSON objects from standard input, each with `do`, the name of a method of `Peer`, and
writes one JSON object for each.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import threading
import time
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters
from rclpy.action import ActionClient
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from std_srvs.srv import Trigger
from support.robot.ros_messages import as_image, plain, with_images
from uhd_edge_msgs.action import Ask
from uhd_edge_msgs.msg import Answer
from uhd_edge_msgs.srv import AskShort

from uhd_edge.robot.ros2.messages import read_picture

SECONDS = 60.0


class Peer(Node):
    def __init__(self) -> None:
        super().__init__("peer")
        self.heard: dict[str, list[Any]] = {"answer_json": [], "answer": [], "diagnostics": [], "pictures": []}
        self.create_subscription(String, "/uhd_edge/answer_json", self._hear("answer_json"), 100)
        self.create_subscription(Answer, "/uhd_edge/answer", self._hear("answer"), 100)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._hear("diagnostics"), 100)
        reliable = QoSProfile(depth=10)  # a node that asks for less takes it, too
        self.topics = {
            "Image": self.create_publisher(Image, "image", reliable),
            "CompressedImage": self.create_publisher(CompressedImage, "image/compressed", reliable),
            "question": self.create_publisher(String, "/uhd_edge/question", 10),
        }
        self.known: dict[str, Any] = {}  # clients of services, by name
        self.action = ActionClient(self, Ask, "/uhd_edge/ask")
        self.goal: Any = None
        self.result: Any = None
        self.texts: list[str] = []

    def _hear(self, topic: str) -> Any:
        return self.heard[topic].append

    def look(self) -> Any:
        """Listen to the frames too, as the node does."""
        self.create_subscription(Image, "image", self._hear("pictures"), qos_profile_sensor_data)
        return {}

    def picture(self) -> Any:
        """The next frame heard, decoded as the node decodes it."""
        picture = read_picture(self._next("pictures", SECONDS))
        return {
            "shape": picture.shape,
            "dtype": str(picture.dtype),
            "sha256": hashlib.sha256(picture.tobytes()).hexdigest(),
        }

    def _next(self, topic: str, seconds: float) -> Any:
        end = time.monotonic() + seconds
        while not self.heard[topic]:
            if time.monotonic() > end:
                raise TimeoutError(f"nothing came on {topic}")
            time.sleep(0.005)
        return self.heard[topic].pop(0)

    def wait_for_node(self) -> Any:
        """Wait until the node listens to everything and is listened to."""
        end = time.monotonic() + SECONDS
        while not (self.topics["question"].get_subscription_count() and self.count_publishers("/uhd_edge/answer_json")):
            if time.monotonic() > end:
                raise TimeoutError("the node did not come")
            time.sleep(0.01)
        kinds = [kind for kind in ("Image", "CompressedImage") if self.topics[kind].get_subscription_count()]
        self.action.wait_for_server(SECONDS)
        while self.state()["label"] != "active":
            if time.monotonic() > end:
                raise TimeoutError("the node did not become active")
            time.sleep(0.05)
        return {"images": kinds}

    def send(self, kind: str = "Image", **fields: Any) -> Any:
        self.topics[kind].publish(as_image(kind, **fields))
        return {}

    def say(self, text: str) -> Any:
        """Set the standing question, and wait until the node has it."""
        self.topics["question"].publish(String(data=text))
        request = GetParameters.Request(names=["question"])
        while self._call(GetParameters, "/uhd_edge/get_parameters", request)["values"][0]["string_value"] != text:
            time.sleep(0.02)
        return {}

    def send_bytes(self, kind: str, data: str) -> Any:
        """Send what is no message."""
        self.topics[kind].publish(base64.b64decode(data))
        return {}

    def send_film(self, frames: int, rate: float, **fields: Any) -> Any:
        """Send many frames whose stamps are their numbers."""
        began = time.monotonic()
        for number in range(frames):
            self.topics["Image"].publish(as_image("Image", stamp=number, **fields))
            time.sleep(max(0.0, began + (number + 1) / rate - time.monotonic()))
        return {"seconds": time.monotonic() - began}

    def answer_json(self, seconds: float = SECONDS) -> Any:
        return json.loads(self._next("answer_json", seconds).data)

    def answer(self) -> Any:
        return plain(self._next("answer", SECONDS))

    def diagnostics(self) -> Any:
        """The next status that is told from now on."""
        self.heard["diagnostics"].clear()
        status = self._next("diagnostics", SECONDS).status[0]
        values = {pair.key: pair.value for pair in status.values}
        return {"level": status.level[0], "name": status.name, "message": status.message, "values": values}

    def listens(self, node: str, namespace: str, least: int) -> Any:
        """The topics of pictures that a node listens to, and how reliable each is to be, once so many are found."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            topics = [
                (topic, one.qos_profile.reliability.name)
                for topic, kinds in self.get_topic_names_and_types()
                if kinds[0] in ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
                for one in self.get_subscriptions_info_by_topic(topic)
                if (one.node_name, one.node_namespace) == (node, namespace)
            ]
            if len(topics) >= least:
                return dict(topics)
            time.sleep(0.02)
        raise TimeoutError(f"{node} in {namespace} listens to fewer than {least} topics of pictures: {topics}")

    def _call(self, kind: Any, name: str, request: Any) -> Any:
        if name not in self.known:
            self.known[name] = self.create_client(kind, name)
        if not self.known[name].wait_for_service(SECONDS):
            raise TimeoutError(name)
        return plain(_result(self.known[name].call_async(request)))

    def state(self) -> Any:
        return self._call(GetState, "/uhd_edge/get_state", GetState.Request())["current_state"]

    def change_state(self, transition: int) -> Any:
        request = ChangeState.Request()
        request.transition.id = transition
        self.heard["diagnostics"].clear()
        reply = self._call(ChangeState, "/uhd_edge/change_state", request)
        told = [pair.value for array in self.heard["diagnostics"] for pair in array.status[0].values]
        return {**reply, "told": told}

    def set(self, **values: Any) -> Any:
        request = SetParameters.Request()
        request.parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        return self._call(SetParameters, "/uhd_edge/set_parameters", request)

    def describe(self, names: list[str]) -> Any:
        request = DescribeParameters.Request(names=names)
        return self._call(DescribeParameters, "/uhd_edge/describe_parameters", request)

    def ask_now(self) -> Any:
        return self._call(Trigger, "/uhd_edge/ask_now", Trigger.Request())

    def ask_short(self, **request: Any) -> Any:
        return self._call(AskShort, "/uhd_edge/ask_short", with_images(AskShort.Request(), request))

    def ask(self, **request: Any) -> Any:
        """Send a goal; its feedback is gathered in `texts`."""
        self.texts = []
        sent = self.action.send_goal_async(
            with_images(Ask.Goal(), request), feedback_callback=lambda told: self.texts.append(told.feedback.text)
        )
        self.goal = _result(sent)
        if self.goal.accepted:
            self.result = self.goal.get_result_async()
        return {"accepted": self.goal.accepted}

    def wait_for_text(self, pieces: int) -> Any:
        """Wait until so many pieces have come."""
        while len(self.texts) < pieces and not self.result.done():
            time.sleep(0.001)
        return {}

    def cancel_after(self, pieces: int) -> Any:
        """Cancel the goal when so many pieces have come."""
        self.wait_for_text(pieces)
        told = len(self.texts)
        return {"cancelling": len(_result(self.goal.cancel_goal_async()).goals_canceling), "told": told}

    def ask_result(self) -> Any:
        done = _result(self.result)
        return {"status": done.status, "texts": self.texts, **plain(done.result)}


def _result(future: Any) -> Any:
    end = time.monotonic() + SECONDS
    while not future.done():
        if time.monotonic() > end:
            raise TimeoutError("no reply")
        time.sleep(0.001)
    return future.result()


def main() -> None:
    rclpy.init()
    peer = Peer()
    executor = MultiThreadedExecutor(2)
    executor.add_node(peer)
    spinning = threading.Thread(target=executor.spin)
    spinning.start()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            reply = getattr(peer, command.pop("do"))(**command)
        except Exception as error:  # told to the test
            reply = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)
    executor.shutdown()
    spinning.join()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
