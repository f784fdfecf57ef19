"""The lifecycle node: configure opens the model, activate answers, deactivate stops, cleanup frees."""

# ROS is on the package index for few machines.
# pyright: reportMissingImports=false

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_msgs.msg import String

from uhd_edge.robot.ros2.answering import AnsweringThread
from uhd_edge.robot.ros2.asking import Asking
from uhd_edge.robot.ros2.declaring import declare_parameters, find_unknown
from uhd_edge.robot.ros2.diagnostics import LOSING, Diagnostics
from uhd_edge.robot.ros2.inbox import Inbox
from uhd_edge.robot.ros2.interfaces import find_interfaces
from uhd_edge.robot.ros2.listening import listen
from uhd_edge.robot.ros2.messages import answer_json, fill_answer, fill_plan, one_line, read_frame, read_picture
from uhd_edge.robot.ros2.parameters import MOST_WAITING
from uhd_edge.robot.ros2.settings import Settings, change_settings, read_settings
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.errors import UhdError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from uhd_edge.robot.ros2.inbox import Frame
    from uhd_edge.runtime.answer import Answer

REPEAT_SECONDS = 10.0  # after which the same warning is logged again


class AnswerNode(LifecycleNode):  # type: ignore[misc]  # ROS comes without types
    """Answers questions about the newest frame.

    `settings` are the checked parameters, `phase` is the lifecycle's state, or "opening", `inbox`
    is None while the node is not active, and `interfaces` where `uhd_edge_msgs` is not built.
    """

    settings: Settings

    def __init__(self, name: str = "uhd_edge", **options: Any) -> None:
        super().__init__(name, **options)
        self.interfaces = find_interfaces()
        self.inbox: Inbox | None = None
        self._assistant: Assistant | None = None
        self._answers: AnsweringThread | None = None
        self._inputs: list[Any] = []  # subscriptions and publishers of a configured node
        self._outputs: list[Any] = []
        self._asking: Asking | None = None
        self._diagnostics = self._new_diagnostics()
        self._logged = ("", 0.0)  # the last warning, and when
        self.phase, self._engine = "unconfigured", ""
        self.settings = read_settings(declare_parameters(self))
        for warning in find_unknown(self):
            self.get_logger().warning(warning)
        self.add_on_set_parameters_callback(self._change_parameters)
        self._told = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # In a group of its own, so that it also tells while the model is opened; and a simulation's clock may stand.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._tell, MutuallyExclusiveCallbackGroup(), steady)

    @property
    def threads_needed(self) -> int:
        """Most threads of an executor: one for each question that may ever wait or is answered, and some for the rest.

        One that starts them as they are needed, as ROS's does, has few.
        """
        return MOST_WAITING + 4

    @property
    def is_open(self) -> bool:
        """Whether the model is open, or about to be."""
        return self._assistant is not None or self.phase == "opening"

    def on_configure(self, _: Any) -> TransitionCallbackReturn:
        """Open the model, and with a budget measure the machine."""
        values = self.settings.values
        self.phase, self._diagnostics.opening_error = "opening", ""
        try:
            self._assistant = Assistant(values["bundle"] or None, **self.settings.assistant_options())
            if values["budget_ms"]:
                self._assistant.measure(lambda step: self.get_logger().info(step))
            self._connect(self._assistant, values)
        except Exception as error:  # whatever a bundle can make fail must not end the node
            self._close()
            self._diagnostics.opening_error = one_line(error)
            self.get_logger().error(self._diagnostics.opening_error)
            return TransitionCallbackReturn.FAILURE
        for note in self._assistant.notes:
            self.get_logger().info(note)
        self.phase = "inactive"
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        """Start to answer."""
        assert self._assistant is not None  # noqa: S101  # a node is configured before it is activated
        inbox = Inbox(int(self.settings.values["queue"]))
        self._diagnostics = self._new_diagnostics()
        super().on_activate(state)  # the publishers
        self._answers = AnsweringThread(
            self._assistant,
            inbox,
            settings=lambda: self.settings,
            read=read_frame,
            read_own=read_picture,
            reports=self,
        )
        self.inbox, self.phase = inbox, "active"
        self.get_logger().info("ready to answer")
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        """End the answer in work within a step; the model stays open."""
        self._stop()
        self.phase = "inactive"
        return super().on_deactivate(state)

    def on_cleanup(self, _: Any) -> TransitionCallbackReturn:
        """Close the model."""
        self._close()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, _: Any) -> TransitionCallbackReturn:
        """Stop and close, whatever the state."""
        self._close()
        self.phase = "finalized"
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, _: Any) -> TransitionCallbackReturn:
        """Stop and close after a transition that raised an exception; the node can be configured again."""
        self._close()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Close everything, and then take the node out of the graph."""
        self._close()
        if self._asking is not None:
            self._asking.destroy()
        super().destroy_node()

    def close(self) -> None:
        """End everything before the program ends. Safe to call twice."""
        self._stop()
        if self._assistant is not None:
            self._assistant.close()

    def answered(self, frame: Frame, question: str, answer: Answer) -> None:
        """Publish the answer to the standing question."""
        self._json_answers.publish(String(data=answer_json(question, answer, frame)))
        if self.interfaces is not None:
            self._message_answers.publish(self.answer_message(question, answer, frame))

    def failed(self, message: str) -> None:
        """Log an error, and one that comes with every frame only now and then."""
        text, logged_at = self._logged
        if message != text or time.monotonic() - logged_at > REPEAT_SECONDS:
            self._logged = (message, time.monotonic())
            self.get_logger().warning(message)

    def answer_message(self, question: str, answer: Answer, frame: Frame | None) -> Any:
        """Return an answer as a `uhd_edge_msgs/Answer`."""
        assert self.interfaces is not None  # noqa: S101  # the callers have looked
        message = fill_answer(self.interfaces.answer(), question, answer, frame)
        if answer.plan is not None:
            message.plan = [fill_plan(self.interfaces.plan(), answer.plan)]
        return message

    def _new_diagnostics(self) -> Diagnostics:
        return Diagnostics(str(self.get_fully_qualified_name()).strip("/"))

    def _connect(self, assistant: Assistant, values: Mapping[str, Any]) -> None:
        encoder = assistant.encoder
        self._engine = encoder.open_mode(values["mode"] or encoder.mode).encoder.provider
        self._json_answers = self.create_lifecycle_publisher(String, "~/answer_json", 10)
        self._outputs = [self._json_answers]
        self._inputs = [self.create_subscription(String, "~/question", self._set_question, 10)]
        if self.interfaces is not None:
            self._message_answers = self.create_lifecycle_publisher(self.interfaces.answer, "~/answer", 10)
            self._outputs.append(self._message_answers)
        else:
            self.get_logger().info("uhd_edge_msgs is not built: no action, no ~/ask_short, no ~/answer")
        self._inputs += listen(self, values["image_transport"], self._keep, self._lose, reliable=values["reliable"])
        self._asking = self._asking or Asking(self)

    def _keep(self, message: Any) -> None:
        if self.inbox is not None:
            self.inbox.put_frame(message)

    def _lose(self, frames: int) -> None:
        if self.inbox is not None:
            self.inbox.lost += frames

    def _set_question(self, message: Any) -> None:
        (result,) = self.set_parameters([Parameter("question", value=message.data)])
        if not result.successful:
            self.failed(result.reason)

    def _change_parameters(self, changes: Sequence[Any]) -> SetParametersResult:
        """Take changes of our parameters, all of them or none."""
        ours = {change.name: change.value for change in changes if change.name in self.settings.values}
        try:
            self.settings = change_settings(self.settings, ours, is_open=self.is_open)
        except UhdError as error:
            return SetParametersResult(successful=False, reason=one_line(error))
        if self.inbox is not None:
            self.inbox.poke()
        return SetParametersResult(successful=True)

    def _tell(self) -> None:
        inbox, answers = self.inbox, self._answers  # another thread may take them away
        counts = None if answers is None else answers.counts
        facts = {"bundle": self.settings.values["bundle"] or "uhd-tiny", "engine": self._engine}
        stamp = self.get_clock().now().to_msg()
        told = self._diagnostics.build(self.phase, facts, inbox, counts, stamp)
        if told.status[0].message == LOSING:
            self.failed(LOSING)
        self._told.publish(told)

    def _stop(self) -> None:
        inbox, self.inbox = self.inbox, None
        answers, self._answers = self._answers, None
        if inbox is not None and answers is not None:
            answers.stop()

    def _close(self) -> None:
        self._stop()
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        for publisher in self._outputs:
            self.destroy_publisher(publisher)
        self._inputs, self._outputs = [], []
        if self._assistant is not None:
            self._assistant.close()
        self._assistant, self.phase = None, "unconfigured"
