"""The action and the services: questions about the newest frame, or about images that come with them."""

# ROS is on the package index for few machines.
# pyright: reportMissingImports=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from std_srvs.srv import Trigger

from uhd_edge.robot.ros2.inbox import NOT_ACTIVE, Job
from uhd_edge.robot.ros2.messages import answer_json, one_line, sendable
from uhd_edge.robot.ros2.settings import parse_options
from uhd_edge.runtime.errors import OptionError, UhdError

if TYPE_CHECKING:
    from collections.abc import Callable

    from uhd_edge.robot.ros2.inbox import Frame, Inbox
    from uhd_edge.robot.ros2.interfaces import Interfaces
    from uhd_edge.robot.ros2.settings import Settings
    from uhd_edge.runtime.answer import Answer


# How often a question that waits looks whether it was cancelled.
LOOK_SECONDS = 0.05


class Answering(Protocol):
    """The node that asks on behalf of the action and the services, see `node.AnswerNode`."""

    interfaces: Interfaces | None
    inbox: Inbox | None
    settings: Settings
    create_service: Callable[..., Any]

    def failed(self, message: str) -> None:
        """Log an error."""

    def answer_message(self, question: str, answer: Answer, frame: Frame | None) -> Any:
        """Return an answer as a `uhd_edge_msgs/Answer`."""


class Asking:
    """Serves `~/ask_now`, and with `uhd_edge_msgs` the action `~/ask` and the service `~/ask_short`.

    They are there for as long as the node is, so that whoever waits when it is cleaned up or shut
    down still hears of it. A callback waits for its answer, so the executor needs a thread for each
    question that may wait, see `node.threads_needed`.
    """

    def __init__(self, node: Answering) -> None:
        self._node = node
        group = ReentrantCallbackGroup()
        node.create_service(Trigger, "~/ask_now", self._ask_now, callback_group=group)
        self._action: ActionServer | None = None
        if node.interfaces is None:
            return
        node.create_service(node.interfaces.ask_short, "~/ask_short", self._ask_short, callback_group=group)
        self._action = ActionServer(
            node,
            node.interfaces.ask,
            "~/ask",
            self._ask,
            callback_group=group,
            goal_callback=self._take_goal,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def destroy(self) -> None:
        """Take back the action, before its node is destroyed with the services."""
        if self._action is not None:
            self._action.destroy()

    def _ask_now(self, _: Any, response: Any) -> Any:
        job = self._do(Job("", [], {}), "")
        response.success = job.answer is not None
        response.message = job.error if job.answer is None else answer_json(job.question, job.answer, job.frame)
        return response

    def _ask_short(self, request: Any, response: Any) -> Any:
        job = self._do(Job(request.question, [*request.images, *request.compressed_images], {}), request.options)
        return self._fill(response, job)

    def _take_goal(self, _: Any) -> GoalResponse:
        try:
            self._require_inbox().keep_place()
        except UhdError as error:
            self._node.failed(f"a goal was rejected: {error}")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _ask(self, goal: Any) -> Any:
        interfaces, request = self._node.interfaces, goal.request
        assert interfaces is not None  # noqa: S101  # without it there is no action

        def tell(text: str) -> None:
            goal.publish_feedback(interfaces.ask.Feedback(text=sendable(text)))

        images = [*request.images, *request.compressed_images]
        job = Job(request.question, images, {}, lambda: bool(goal.is_cancel_requested), tell)
        self._do(job, request.options, has_place=True)
        if job.answer is not None:
            goal.succeed()
        elif goal.is_cancel_requested:
            goal.canceled()
            job.error = job.error or "cancelled"
        else:
            goal.abort()
        return self._fill(interfaces.ask.Result(), job)

    def _do(self, job: Job, options: str, *, has_place: bool = False) -> Job:
        """Queue the job, perhaps in a place kept for it, and wait for its end; an error is in the job then."""
        settings, given = self._node.settings, self._node.inbox
        try:
            job.question = job.question.strip() or settings.question
            if not job.question:
                raise OptionError("there is no question; give one, or set the parameter `question`")
            job.options = parse_options(options, settings)
            inbox = self._require_inbox()
            inbox.put_job(job, has_place=has_place)
        except UhdError as error:
            if has_place and given is not None:
                given.give_place()
            job.error = one_line(error)
            self._node.failed(job.error)
            return job
        while not job.ended.wait(LOOK_SECONDS):
            if job.is_cancelled():
                inbox.withdraw(job)
        return job

    def _require_inbox(self) -> Inbox:
        if self._node.inbox is None:
            raise OptionError(NOT_ACTIVE)
        return self._node.inbox

    def _fill(self, response: Any, job: Job) -> Any:
        response.success, response.message = job.answer is not None, job.error
        if job.answer is None:
            response.answer.question, response.answer.text = job.question, sendable(job.text)
        else:
            response.answer = self._node.answer_message(job.question, job.answer, job.frame)
        return response
