"""The node: answers a question about the newest frame, again and again, until the dataflow stops."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol

from uhd_edge.robot.frames import image_of
from uhd_edge.robot.inbox import Inbox
from uhd_edge.runtime.errors import UhdError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from uhd_edge.robot.inbox import Work
    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.assistant import Assistant
    from uhd_edge.runtime.options import AskOptions


class DoraNode(Protocol):
    """What is needed of `dora.Node`."""

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Give events until the dataflow stops."""
        ...

    def send_output(self, output_id: str, data: Any, metadata: dict[str, Any]) -> None:
        """Send an array of pyarrow."""


class Answerer:
    """Works off one inbox with one assistant, and tells the dataflow what came of it.

    Outputs are arrays with one string. `answer` is an answer's text; its metadata has
    `frame` (its number from 0), `dropped` (frames before it that were never asked about),
    `question`, `finish_reason`, `first_token_ms` and `total_ms`. `health` is a JSON object
    with `state` (`ready`, `answered`, `error` or `stopped`), the counts `frames`, `answered`,
    `dropped` and `errors`, and of an error `message` and, where there is one, `frame`.
    """

    def __init__(self, node: DoraNode, assistant: Assistant, options: AskOptions) -> None:
        self._node = node
        self._assistant = assistant
        self._options = options
        self._answered = 0
        self._errors = 0

    def run(self, inbox: Inbox) -> None:
        """Answer until there is nothing more to answer; an error of one frame is told and is not the end."""
        self._tell(inbox, "ready")
        while (work := inbox.take()) is not None:
            if isinstance(work, list):
                for message in work:
                    self._complain(inbox, message)
            else:
                self._work_off(work, inbox)
        self._tell(inbox, "stopped")

    def _work_off(self, work: Work, inbox: Inbox) -> None:
        try:
            answer = self._answer(work, inbox)
        except UhdError as error:
            self._complain(inbox, str(error), frame=work.number)
            return
        if answer is None:
            return
        self._answered += 1
        about = {
            "frame": work.number,
            "dropped": work.dropped,
            "question": work.question,
            "finish_reason": answer.finish_reason,
            "first_token_ms": answer.timings_ms["first_token"],
            "total_ms": answer.timings_ms["total"],
        }
        self._send("answer", answer.text, about)
        self._tell(inbox, "answered", frame=work.number)

    def _answer(self, work: Work, inbox: Inbox) -> Answer | None:
        """The answer, or None when the dataflow was stopped meanwhile, which ends it within a step."""
        image = image_of(work.value, work.metadata)
        with closing(self._assistant.steps(image, work.question, **self._options)) as steps:
            while not inbox.stopped:
                try:
                    next(steps)
                except StopIteration as end:
                    answer: Answer = end.value
                    return answer
        return None

    def _complain(self, inbox: Inbox, message: str, **about: int) -> None:
        self._errors += 1
        self._tell(inbox, "error", message=" ".join(message.split()), **about)

    def _tell(self, inbox: Inbox, state: str, **about: object) -> None:
        counts = {"frames": inbox.frames, "answered": self._answered, "dropped": inbox.dropped, "errors": self._errors}
        self._send("health", json.dumps({"state": state, **counts, **about}, ensure_ascii=False), {})

    def _send(self, output: str, text: str, metadata: dict[str, Any]) -> None:
        import pyarrow

        self._node.send_output(output, pyarrow.array([text]), metadata)


def read_events(node: DoraNode, inbox: Inbox) -> threading.Thread:
    """Put the node's events into the inbox as they come, from a thread of their own, until there are no more."""

    def read() -> None:
        try:
            for event in node:
                inbox.put(event)
        finally:
            inbox.close()

    thread = threading.Thread(target=read, name="uhd-edge events", daemon=True)
    thread.start()
    return thread
