"""A conversation of several turns about images, which are encoded once and prefilled once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uhd_edge.engines.engine import ClosedByWith
from uhd_edge.runtime.answering import answer_question
from uhd_edge.runtime.ask_methods import ask_method
from uhd_edge.runtime.conversation.answer_stream import skip_empty
from uhd_edge.runtime.conversation.tool_results import order_results
from uhd_edge.runtime.errors import PromptError
from uhd_edge.runtime.options import parse_request

if TYPE_CHECKING:
    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.answering import OpenModels
    from uhd_edge.runtime.ask_methods import ImagesInput, SessionQuestion
    from uhd_edge.runtime.conversation.answer_lock import AnswerLock
    from uhd_edge.runtime.conversation.answer_stream import AnswerStream
    from uhd_edge.runtime.conversation.turns import Conversation
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.options import AskOptions


@dataclass(frozen=True)
class SessionDefaults:
    """The defaults of a session for its questions."""

    mode: Mode
    max_slices: int | None


class Session(ClosedByWith):
    """A conversation with an assistant, made by `Assistant.session`; close it, or use it with `with`.

    An image is encoded once, with the first question after it, and prefilled once. A later
    question prefills its own tokens, the answer before it, and at most 64 tokens more. Its logits
    equal those of a prefill of the whole conversation, with hybrid models too; on the tested
    processor (x86-64) they are bit-identical.

    A turn becomes part of the conversation when its answer has been read to its end. A stream that
    is left early, an error, or a cancelled question leaves the session as it was before.

    When the context is full, a question raises `ContextError`. With `drop_oldest`, turns are
    dropped instead, until there is room for the question and `max_tokens` of an answer, but at
    most a quarter of the context: first the oldest turns without images. Turns with images are
    dropped, oldest first, only if the prompt would not fit otherwise. `Answer.dropped_turns`
    counts them.

    Any number of sessions and plain questions can be mixed; see `session_bytes` of `Assistant`. A
    session keeps the text of its turns and the embeddings of their images in memory, at most
    `context` times the model's width in float32.

    Safe to use from several threads: an assistant answers the questions of all its sessions one
    at a time, and the newest question ends a stream that is still open.
    """

    def __init__(
        self, models: OpenModels, answer_lock: AnswerLock, defaults: SessionDefaults, conversation: Conversation
    ) -> None:
        self._models = models
        self._answer_lock = answer_lock
        self._defaults = defaults
        self._conversation = conversation
        self._closed = False

    @ask_method
    def ask(self, images: ImagesInput, question: SessionQuestion, options: AskOptions) -> Answer:
        """Answer the conversation's next question, about all images so far and new ones that come with it.

        `mode` and `max_slices` count for new images. After an answer with calls, their results may
        be given in place of a question. Raises what `Assistant.ask` raises.
        """
        return self._answer_lock.finish(self.steps(images, question, **options))

    @ask_method
    def stream(self, images: ImagesInput, question: SessionQuestion, options: AskOptions) -> AnswerStream:
        """Answer as `ask` does, and yield pieces of the text as they are generated; see `Assistant.stream`."""
        return skip_empty(self.steps(images, question, **options))

    @ask_method
    def steps(self, images: ImagesInput, question: SessionQuestion, options: AskOptions) -> AnswerStream:
        """Answer as `ask` does, in steps; the answer can be ended between two of them, see `Assistant.steps`."""
        self._require_open()
        if not isinstance(question, str):
            question = order_results(question, self._conversation.turns)
        if options.get("tools") is None:
            options = {**options, "tools": self._conversation.tools}
        defaults = self._defaults
        modes = tuple(self._models.manifest.graphs)
        request = parse_request(
            images, question, options, mode=defaults.mode, modes=modes, max_slices=defaults.max_slices
        )
        return self._answer_lock.take_turns(
            lambda _: answer_question(request, self._conversation, self._models), self._require_open, place=0
        )

    @property
    def history(self) -> tuple[tuple[str, str], ...]:
        """The questions and answers so far, except dropped turns; a question is empty where results took its place."""
        return tuple((turn.question, turn.answer) for turn in self._conversation.turns)

    def fork(self) -> Session:
        """Start another session with the same turns; both then go on separately, and share what was computed."""
        with self._answer_lock.between_steps():
            self._require_open()
            fork = replace(self._conversation)
            self._models.memory.share(self._conversation, fork)
            return Session(self._models, self._answer_lock, self._defaults, fork)

    def close(self) -> None:
        """Free the memory of the session, and end an answer that is still open. Safe to call twice."""
        with self._answer_lock.between_steps():
            self._closed = True
            self._conversation.continue_with(())
            self._models.memory.release(self._conversation)

    def _require_open(self) -> None:
        self._answer_lock.require_open()
        if self._closed:
            raise PromptError("the session has been closed; start a new one")
