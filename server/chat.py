"""`/v1/chat/completions`: from the body of a request to its answer."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse

from uhd_edge.runtime.answer import Thought
from uhd_edge.runtime.errors import BusyError, SchemaError
from uhd_edge.runtime.images.data_uri import is_data_uri
from uhd_edge.server.chat_request import parse_request
from uhd_edge.server.conversations import parse_chat
from uhd_edge.server.errors import ApiError, api_error
from uhd_edge.server.guard import require_json
from uhd_edge.server.images import decode_image, load_images
from uhd_edge.server.remote_images import fetch_image
from uhd_edge.server.replies import Reply, Trimmed, failed
from uhd_edge.server.waiting import ClientGoneError, finish_in_time, read_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Receive, Scope, Send

    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.async_assistant import AsyncAnswerStream, AsyncAssistant
    from uhd_edge.runtime.conversation.encoded_images import QuestionImage
    from uhd_edge.server.chat_request import ChatRequest
    from uhd_edge.server.conversations import ParsedChat
    from uhd_edge.server.metrics import Metrics
    from uhd_edge.server.options import ServerOptions

Result = TypeVar("Result")

CLIENT_GONE = 499  # as nginx calls it; nobody receives it

REMOTE_SECONDS = 10.0

_log = logging.getLogger(__name__)


class Chat:
    """Answers chat completions with one assistant, whose bundle is named `model`.

    At most `queue` requests, and the one in work, are accepted at a time. That limits the
    memory that waiting requests can hold.
    """

    def __init__(self, assistant: AsyncAssistant, model: str, options: ServerOptions, metrics: Metrics) -> None:
        self._assistant = assistant
        self._model = model
        self._options = options
        self._metrics = metrics
        self._taken = 0
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="uhd-edge reader")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer a request, with an error if need be, and return the status that was sent."""
        sending = _Sending(scope, receive, send)
        try:
            with self._place():
                await self._answer(Request(scope), receive, sending)
        except ClientGoneError:
            return CLIENT_GONE
        except Exception as error:
            known = api_error(error)
            if known is None:
                _log.exception("a request failed")
                known = ApiError(500, "an unexpected error occurred; see the server's log")
            await sending.fail(known)
        return sending.status

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._taken > self._options.queue:
            raise BusyError(f"{self._taken} requests are already being answered or waiting; ask again later")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def _answer(self, request: Request, receive: Receive, sending: _Sending) -> None:
        arrived = asyncio.get_running_loop().time()
        require_json(request.headers)
        declared = request.headers.get("content-length")
        body = await read_body(receive, most=self._options.max_body, declared=declared)
        await finish_in_time(self._work(body, sending), receive, since=arrived, limit=self._options.time_limit)

    async def _work(self, body: bytes, sending: _Sending) -> None:
        chat, parsed = await self._in_reader(self._parse, body)
        files = [await self._file(image.url) for image in parsed.images]
        pictures = await self._in_reader(partial(load_images, files, max_pixels=self._options.max_pixels))
        images: list[QuestionImage] = [
            picture if given.mode is None else (picture, given.mode)
            for picture, given in zip(pictures, parsed.images, strict=True)
        ]
        stream = self._assistant.stream(images, parsed.messages, **parsed.options)
        try:
            if chat.stream:
                with_usage = chat.stream_options is not None and chat.stream_options.include_usage
                answer = await _streamed(stream, Reply(self._model, with_usage), sending)
            else:
                answer = await _whole(stream)
                await sending.json(Reply(self._model).whole(answer))
        finally:
            await stream.aclose()
        self._metrics.answered(answer)

    async def _in_reader(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Run slow work in the one thread for it.

        More threads would not be faster, because images are decoded one at a time anyway,
        and each would keep as much memory as its largest image needed.
        """
        return await asyncio.get_running_loop().run_in_executor(self._reader, work, *arguments)

    def _parse(self, body: bytes) -> tuple[ChatRequest, ParsedChat]:
        chat = parse_request(body)
        if chat.model != self._model:
            raise ApiError(
                404,
                f"there is no model {chat.model!r}; this server has {self._model!r}",
                param="model",
                code="model_not_found",
            )
        return chat, parse_chat(chat)

    async def _file(self, url: str) -> bytes:
        """Return the bytes of an image file; fetching happens in threads of its own."""
        if is_data_uri(url):
            return await self._in_reader(decode_image, url)
        if not self._options.allow_remote_images:
            raise ApiError(
                400,
                "an image must be a data URI (data:image/png;base64,..); this server does not fetch images",
                param="messages",
                code="invalid_image_url",
            )
        return await asyncio.to_thread(fetch_image, url, most_bytes=self._options.max_body, seconds=REMOTE_SECONDS)


class _Sending:
    """Sends one object to the client, or events, the first of them with the headers."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._streaming = False
        self.status = 200

    async def json(self, content: object, *, error: ApiError | None = None) -> None:
        self.status = 200 if error is None else error.status
        headers = None if error is None else error.headers
        await JSONResponse(content, self.status, headers)(self._scope, self._receive, self._send)

    async def events(self, events: bytes, *, more: bool = True) -> None:
        if not self._streaming:
            headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            self._streaming = True
        await self._send({"type": "http.response.body", "body": events, "more_body": more})

    async def fail(self, error: ApiError) -> None:
        """Send an error, inside the stream if that has begun."""
        if self._streaming:
            self.status = error.status
            await self.events(failed(error), more=False)
        else:
            await self.json(error.body, error=error)


async def _whole(stream: AsyncAnswerStream) -> Answer:
    try:
        async for _ in stream:
            pass
    except SchemaError as error:
        return _cut_off(error)
    return stream.answer


async def _streamed(stream: AsyncAnswerStream, reply: Reply, sending: _Sending) -> Answer:
    """Stream an answer. Nothing is sent before its first piece, so that an error can still set the status."""
    thoughts, text, start = Trimmed(), Trimmed(), reply.first()
    try:
        async for piece in stream:
            is_thought = isinstance(piece, Thought)
            if shown := (thoughts if is_thought else text)(piece):
                await sending.events(start + (reply.thought(shown) if is_thought else reply.piece(shown)))
                start = b""
        answer = stream.answer
    except SchemaError as error:
        answer = _cut_off(error)
    await sending.events(start + reply.last(answer), more=False)
    return answer


def _cut_off(error: SchemaError) -> Answer:
    """Return an answer that was cut off before its JSON was complete; `finish_reason` says so, as OpenAI's does."""
    if error.answer is None:
        raise error
    return error.answer
