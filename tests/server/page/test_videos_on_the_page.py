"""A video on the page: it is shown, and how many of its frames are looked at is told before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.browsing.page import all_of, ask, at, give, wait_for
from support.images.videos import make_video
from support.running_server import EXAMPLES, running

from uhd_edge.runtime import Assistant, Video

if TYPE_CHECKING:
    from pathlib import Path

    from selenium.webdriver import Chrome


def test_a_video_is_shown_with_the_frames_that_will_be_looked_at(page: Chrome, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.webm", 45, codec="libvpx", size=(320, 240))  # 4.5 s
    with Assistant(threads=1) as assistant:
        expected = assistant.ask(Video(clip), "What happens?")
    at(page, "file").send_keys(str(EXAMPLES / "sliced.jpg"))
    wait_for(page, "figcaption", "3 x 3 slices")
    at(page, "file").send_keys(str(clip))
    said = wait_for(page, "figure:nth-child(2) figcaption", "frames").text
    assert (
        said == f"clip.webm, 320 x 240, 4.5 s, to be seen as at most 5 frames of {expected.views[0].tokens} tokens each"
    )
    assert len(expected.views) == 5
    assert page.execute_script("return document.querySelector('#attached video').videoWidth") == 320
    assert "one view" in page.find_element("css selector", "figcaption").text  # as beside every video
    page.find_element("css selector", "#attached button").click()  # the picture goes
    ask(page, "What happens?")
    said = wait_for(page, "article figcaption", ", seen as").text
    assert f"seen as 5 frames of together {expected.usage.vision_tokens} tokens" in said
    assert page.find_element("css selector", "article .answer").text == expected.text
    assert len(all_of(page, "article video")) == 1


def test_the_room_for_frames_is_what_other_pictures_leave(browser: Chrome, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.webm", 45, codec="libvpx", size=(320, 240))
    with running("--max-pixels", "2.2") as server:
        browser.get(server.url)
        wait_for(browser, "#model", "uhd-tiny")
        give(browser, "drop", clip, "video/webm")
        wait_for(browser, "figcaption", "at most 2 frames")
        browser.find_element("css selector", "#attached button").click()
        at(browser, "file").send_keys(f"{EXAMPLES / 'sliced.jpg'}\n{clip}")
        wait_for(browser, "figure:nth-child(2) figcaption", "at most 1 frame of")
        ask(browser, "What happens?")
        wait_for(browser, "article figure:nth-child(2) figcaption", "seen as 1 frame of")


def test_a_video_that_the_browser_cannot_show_is_asked_about_all_the_same(page: Chrome, tmp_path: Path) -> None:
    give(page, "drop", make_video(tmp_path / "clip.avi", 20), "video/x-msvideo")
    wait_for(page, "figcaption", "this browser cannot show it, but the server may read it")
    ask(page, "What happens?")
    wait_for(page, "article figcaption", "seen as 2 frames")


def test_what_is_neither_a_picture_nor_a_video_is_told(page: Chrome, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Hello.")
    give(page, "drop", tmp_path / "notes.txt", "text/plain")
    assert wait_for(page, "#error", "notes.txt").text == "notes.txt is neither a picture nor a video."
