"""The node: answers a question about the newest frame, over and over, until the dataflow stops."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Protocol

from uhd_edge.robot.frames import read_frame
from uhd_edge.robot.inbox import Inbox
from uhd_edge.runtime.errors import UhdError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from uhd_edge.robot.inbox import Work
    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.assistant import Assistant
    from uhd_edge.runtime.options import AskOptions


class DoraNode(Protocol):
    """The part of `dora.Node` that is used."""

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Yield events until the dataflow stops."""
        ...

    def send_output(self, output_id: str, data: Any, metadata: dict[str, Any]) -> None:
        """Send an array of pyarrow."""


class Answerer:
    """Answers what is in an inbox with an assistant, and sends the results to the dataflow.

    Outputs are arrays of one string. `answer` is the text of an answer; its metadata are `frame`
    (its number, counted from 0), `dropped` (how many frames before it were skipped), `question`,
    `finish_reason`, `first_token_ms` and `total_ms`. `health` is a JSON object with `state`
    (`ready`, `answered`, `error` or `stopped`) and the counts `frames`, `answered`, `dropped` and
    `errors`. For an error it also has `message`, and `frame` if the error is about one.
    """

    def __init__(self, node: DoraNode, assistant: Assistant, options: AskOptions) -> None:
        self._node = node
        self._assistant = assistant
        self._options = options
        self._answered = 0
        self._errors = 0

    def run(self, inbox: Inbox) -> None:
        """Answer until the dataflow stops; an error about one frame is reported, and the next one is answered."""
        self._report(inbox, "ready")
        while (work := inbox.take()) is not None:
            if isinstance(work, list):
                for message in work:
                    self._report_error(inbox, message)
            else:
                self._answer_frame(work, inbox)
        self._report(inbox, "stopped")

    def _answer_frame(self, work: Work, inbox: Inbox) -> None:
        try:
            answer = self._answer(work, inbox)
        except UhdError as error:
            self._report_error(inbox, str(error), frame=work.number)
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
        self._report(inbox, "answered", frame=work.number)

    def _answer(self, work: Work, inbox: Inbox) -> Answer | None:
        """Return the answer, or None if the dataflow is stopped, which ends the answer within a step."""
        image = read_frame(work.value, work.metadata)
        with self._assistant.steps(image, work.question, **self._options) as steps:
            while not inbox.stopped:
                if next(steps, None) is None:
                    return steps.answer
        return None

    def _report_error(self, inbox: Inbox, message: str, **about: int) -> None:
        self._errors += 1
        self._report(inbox, "error", message=" ".join(message.split()), **about)

    def _report(self, inbox: Inbox, state: str, **about: object) -> None:
        counts = {"frames": inbox.frames, "answered": self._answered, "dropped": inbox.dropped, "errors": self._errors}
        self._send("health", json.dumps({"state": state, **counts, **about}, ensure_ascii=False), {})

    def _send(self, output: str, text: str, metadata: dict[str, Any]) -> None:
        import pyarrow

        self._node.send_output(output, pyarrow.array([text]), metadata)


def read_events(node: DoraNode, inbox: Inbox) -> threading.Thread:
    """Start a thread that puts the node's events into the inbox until there are no more."""

    def read() -> None:
        try:
            for event in node:
                inbox.put(event)
        finally:
            inbox.close()

    thread = threading.Thread(target=read, name="uhd-edge events", daemon=True)
    thread.start()
    return thread
