"""From the body of a request to its answer, in any dialect."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from starlette.requests import Request

from uhd_edge.runtime.answer import Thought
from uhd_edge.runtime.errors import BusyError, SchemaError
from uhd_edge.runtime.schema.answer_schema import is_json
from uhd_edge.runtime.tools.call_format import find_begun_call
from uhd_edge.server.dialect import AnsweredError
from uhd_edge.server.errors import ApiError, api_error
from uhd_edge.server.guard import require_json
from uhd_edge.server.media.loading import count_places, load_media
from uhd_edge.server.media.threads import MediaThreads
from uhd_edge.server.sending import Sending, readable_names
from uhd_edge.server.trimming import ShownTokens, Trimmed
from uhd_edge.server.waiting import BodyRoom, ClientGoneError, finish_in_time, read_body

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence

    from starlette.types import Receive, Scope, Send

    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.async_assistant import AsyncAnswerStream, AsyncAssistant
    from uhd_edge.runtime.conversation.encoded_images import QuestionImage
    from uhd_edge.server.dialect import Asked, Dialect, ReplyWriter
    from uhd_edge.server.metrics import Metrics
    from uhd_edge.server.options import ServerOptions

# Bodies that may arrive at a time, if each is as large as one may be.
MOST_ARRIVING = 4

CLIENT_GONE = 499  # as nginx calls it; nobody receives it

# Names of ignored parameters that are told in the log, each once.
MOST_TOLD = 200

_log = logging.getLogger(__name__)


class Answering:
    """Answers requests with one assistant.

    At most `queue` requests, and those in work, are accepted at a time. That limits the
    memory that waiting requests can hold. A request takes its place when its body is there, so
    that none is kept by a client that sends nothing; the bodies that are arriving have a limit of their own.
    """

    def __init__(self, assistant: AsyncAssistant, options: ServerOptions, metrics: Metrics) -> None:
        self._assistant = assistant
        self._options = options
        self._metrics = metrics
        self._taken = 0
        self._arriving = BodyRoom(MOST_ARRIVING * options.max_body)
        self._told: set[str] = set()
        self._threads = MediaThreads()

    async def __call__(self, dialect: Dialect, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer a request, with an error if need be, and return the status that was sent."""
        sending = Sending(scope, receive, send, dialect)
        try:
            await self._answer(dialect, Request(scope), receive, sending)
        except ClientGoneError:
            return CLIENT_GONE
        except Exception as error:
            known = api_error(error)
            if known is None:
                _log.exception("a request failed")
                known = ApiError(500, "an unexpected error occurred; see the server's log")
            await sending.fail(known)
        return sending.status

    def _require_place(self) -> None:
        if self._taken >= self._options.queue + self._options.at_once:
            raise BusyError(f"{self._taken} requests are already being answered or waiting; ask again later")

    @contextmanager
    def _place(self) -> Iterator[None]:
        self._require_place()
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def _answer(self, dialect: Dialect, request: Request, receive: Receive, sending: Sending) -> None:
        arrived = asyncio.get_running_loop().time()
        require_json(request.headers, strict=self._options.strict)
        self._require_place()  # before a body is sent that nobody would read
        declared, most = request.headers.get("content-length"), self._options.max_body
        body = await read_body(receive, most=most, declared=declared, room=self._arriving)
        with self._place():
            work = self._work(dialect, body, sending)
            await finish_in_time(work, receive, since=arrived, limit=self._options.time_limit)

    async def _work(self, dialect: Dialect, body: bytes, sending: Sending) -> None:
        try:
            asked, reply = await self._threads.reader(dialect.read, body)
        except AnsweredError as answered:
            await sending.json(answered.content)
            return
        sending.prepare(reply, asked.ignored)
        self._tell(asked.ignored)
        with asked.sent.spoken():
            answer = await self._answered(asked, reply, sending)
        self._metrics.answered(answer)

    async def _answered(self, asked: Asked, reply: ReplyWriter, sending: Sending) -> Answer:
        loaded = await load_media(asked.media, self._options, self._threads)
        messages = asked.with_places([count_places(one) for one in loaded])
        images: list[QuestionImage] = [
            one if part.mode is None else (one, part.mode) for one, part in zip(loaded, asked.media, strict=True)
        ]
        if asked.stream:
            stream = self._assistant.stream(images, messages, **asked.options)
            try:
                return await _streamed(stream, asked, reply, sending)
            finally:
                await stream.aclose()
        answer = await _whole(self._assistant.ask(images, messages, **asked.options))
        await sending.json(reply.whole(answer))
        return answer

    def _tell(self, ignored: Sequence[str]) -> None:
        """Tell in the log, once for every name, what was ignored."""
        for name in readable_names(ignored):
            if name not in self._told and len(self._told) < MOST_TOLD:
                self._told.add(name)
                _log.warning("a request has %s, which is ignored; this is told once", name)


async def _whole(asking: Coroutine[object, object, Answer]) -> Answer:
    try:
        return await asking
    except SchemaError as error:
        return _cut_off(error)


async def _streamed(stream: AsyncAnswerStream, asked: Asked, reply: ReplyWriter, sending: Sending) -> Answer:
    """Stream an answer. Nothing is sent before its first piece, so that an error can still set the status."""
    thoughts, text, tokens = Trimmed(), Trimmed(begun=asked.continues), ShownTokens(begun=asked.continues)
    may_tell = not asked.options.get("tools")  # a call leaves text behind that was not shown
    begun, unsent = False, b""
    try:
        async for piece in stream:
            is_thought = isinstance(piece, Thought)
            shown = (thoughts if is_thought else text)(piece)
            ranked = tokens(piece, shown) if may_tell else ()
            if shown:
                unsent += b"" if begun else reply.first()
                unsent += reply.thought(shown) if is_thought else reply.piece(shown, ranked)
                begun = True
            if unsent and stream.is_waiting:
                await sending.events(unsent)
                unsent = b""
        answer = stream.answer
    except SchemaError as error:
        answer = _cut_off(error)
    start = b"" if begun else reply.first()
    await sending.events(unsent + start + reply.last(answer, tokens.rest(answer)), more=False)
    return answer


def _cut_off(error: SchemaError) -> Answer:
    """Return an answer that was cut off before its JSON was complete, as OpenAI does; `finish_reason` says by what.

    Raises the error again when the JSON is complete and breaks a rule that no grammar expresses, and when there is a
    call in its place that cannot be read.
    """
    answer = error.answer
    if answer is None or (answer.finish_reason != "length" and (is_json(answer.text) or find_begun_call(answer.text))):
        raise error
    return answer
