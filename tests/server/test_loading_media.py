"""Videos of requests: which frames are looked at, and that no more is decoded than is allowed and waited for."""

from __future__ import annotations

import asyncio
import base64
import io
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image
from support.images.videos import make_video, one_key_frame
from support.running_server import CHAT, asked

from uhd_edge.runtime import AsyncAssistant, Video
from uhd_edge.runtime.errors import VideoError
from uhd_edge.runtime.images.video_decoding import Allowance
from uhd_edge.server.app import application
from uhd_edge.server.errors import ApiError
from uhd_edge.server.media import loading
from uhd_edge.server.media.loading import decode_all, load_media
from uhd_edge.server.media.parts import MediaPart
from uhd_edge.server.media.threads import MediaThreads
from uhd_edge.server.options import ServerOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def picture(level: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (4, 4), (level, 0, 0)).save(data, "PNG")
    return data.getvalue()


def uri(data: bytes) -> str:
    return "data:;base64," + base64.b64encode(data).decode()


async def at_once(work: Callable[..., Any], *arguments: Any) -> Any:
    return work(*arguments)


AT_ONCE = MediaThreads(at_once, at_once, at_once)


def load(part: MediaPart, **limits: Any) -> Any:
    (loaded,) = asyncio.run(load_media([part], ServerOptions(**limits), AT_ONCE))
    return loaded


@pytest.mark.parametrize("written", ["{}", " data:;base64,{}", "data:;base64,{}"])
@pytest.mark.parametrize("fetches", [True, False])
def test_bare_base64_is_refused_strictly_with_what_to_send(written: str, fetches: bool) -> None:
    bare = base64.b64encode(picture(5)).decode()
    url = written.format(bare)
    assert load(MediaPart("image", (url,)), allow_remote_images=fetches).size == (4, 4)
    if url.startswith("data:"):
        assert load(MediaPart("image", (url,)), strict=True, allow_remote_images=fetches).size == (4, 4)
        return
    told = r"^messages: the image must begin with data:image/png;base64, \(--strict takes no bare base64\)$"
    with pytest.raises(ApiError, match=told):
        load(MediaPart("image", (url,)), strict=True, allow_remote_images=fetches)
    with pytest.raises(ApiError, match=r"must be a data URI \(data:image/png;base64,\.\.\); this server"):
        load(MediaPart("image", ("cat.png",)), strict=True)


@pytest.mark.parametrize("most", [None, 5])
def test_of_too_many_frames_those_are_looked_at_that_an_assistant_takes(most: int | None) -> None:
    pictures = [picture(number) for number in range(200)]
    taken = load(MediaPart("frames", tuple(map(uri, pictures)), max_frames=most))
    expected = Video(pictures, **({} if most is None else {"max_frames": most})).frames()
    assert [frame.getpixel((0, 0)) for frame in taken.source] == [frame.getpixel((0, 0)) for frame in expected]
    with pytest.raises(ApiError, match="frame 199 of a video"):
        load(MediaPart("frames", tuple(map(uri, [*pictures[:-1], b"broken"])), max_frames=most))


@pytest.mark.parametrize(
    ("max_frames", "fps", "count"), [(None, None, 4), (2, None, 2), (None, 0.5, 2), (None, 2, 7), (3, 2, 3)]
)
def test_of_a_video_so_many_frames_are_looked_at_as_are_wished_for(
    tmp_path: Path, max_frames: int | None, fps: float | None, count: int
) -> None:
    file = make_video(tmp_path / "clip.mp4", 35).read_bytes()
    assert len(load(MediaPart("video", (uri(file),), max_frames=max_frames, fps=fps)).source) == count


def test_all_videos_of_a_request_have_one_limit_of_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "DECODED_PER_KEPT", 1)
    part = MediaPart("video", (uri(one_key_frame(60, size=256)),))  # 3.9 megapixels to decode, 1 to keep
    options = ServerOptions(max_pixels=2**24)
    assert len(asyncio.run(load_media([part] * 4, options, AT_ONCE))) == 4
    with pytest.raises(ApiError, match="pixels to decode, with the frames in between") as refused:
        asyncio.run(load_media([part] * 5, options, AT_ONCE))
    assert (refused.value.status, refused.value.code) == (400, "invalid_video")


def test_a_request_that_has_ended_is_decoded_no_further() -> None:
    held: list[Callable[[], Any]] = []

    async def later(work: Callable[..., Any], *_: Any) -> Any:
        held.append(work)  # as the reader's thread goes on, while nobody waits for it any more
        asking.cancel()
        await asyncio.sleep(0)
        return None

    async def cancelled() -> None:
        nonlocal asking
        asking = asyncio.ensure_future(load_media([part], ServerOptions(), MediaThreads(at_once, at_once, later)))
        await asyncio.wait({asking})

    asking: asyncio.Future[Any]
    part = MediaPart("video", (uri(one_key_frame(60)),))
    asyncio.run(cancelled())
    with pytest.raises(ApiError, match="nobody waits"):
        held[0]()


def test_decoding_looks_whether_anybody_waits_between_images() -> None:
    images = [MediaPart("image", (uri(picture(1)),))] * 3
    asked = iter([False, False, True])
    with pytest.raises((VideoError, ApiError), match="nobody waits"):
        decode_all(images, [[picture(1)]] * 3, max_pixels=100, allowance=Allowance(stopped=lambda: next(asked)))
    assert next(asked, None) is None


VIDEO = asked("?What?", max_tokens=1)
VIDEO["messages"][0]["content"].append({"type": "video_url", "video_url": {"url": uri(one_key_frame(2))}})


@pytest.mark.parametrize(
    ("first", "then"),
    [(asked(picture(5), "?What?", max_tokens=1), asked("?What?", max_tokens=1)), (VIDEO, asked(picture(5), "?What?"))],
)
def test_who_sends_less_does_not_wait_for_the_pictures_or_videos_of_another(
    monkeypatch: pytest.MonkeyPatch, first: Any, then: Any
) -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    def held(*arguments: Any, **limits: Any) -> Any:
        if not begun.is_set():
            begun.set()
            assert may_go_on.wait(60)
        return decode_all(*arguments, **limits)

    async def ask() -> list[int]:
        async with AsyncAssistant(threads=1) as assistant:
            bundle, defaults = await assistant.opened(), await assistant.defaults()
            app = application(assistant, bundle, defaults, ServerOptions(at_once=2))
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as client:
                before = asyncio.ensure_future(client.post(CHAT, json=first))
                await asyncio.to_thread(begun.wait)
                try:
                    after = await asyncio.wait_for(client.post(CHAT, json=then), 60)
                    assert not before.done()
                finally:
                    may_go_on.set()
                return [after.status_code, (await before).status_code]

    monkeypatch.setattr(loading, "decode_all", held)
    assert asyncio.run(ask()) == [200, 200]
