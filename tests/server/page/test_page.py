"""The page at `/` in a real browser: a picture comes in, its grid is drawn, and the answer streams."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.browsing.page import all_of, ask, at, give, shown_request, wait_for
from support.running_server import CODE, EXAMPLES, Running, running

from uhd_edge.runtime import Assistant, Bundle
from uhd_edge.runtime.images.loading import load_image
from uhd_edge.runtime.vision.slicing import plan_views

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

SLICED = EXAMPLES / "sliced.jpg"
BENCH = EXAMPLES / "bench.png"

# Lets every further answer wait until it is stopped.
HOLD = """
window.fetch = (address, options) => new Promise((_, reject) =>
  options.signal.addEventListener("abort", () => reject(new DOMException("", "AbortError"))));
"""


def test_a_chosen_picture_is_cut_as_planned_and_asked_about(page: Chrome) -> None:
    at(page, "file").send_keys(str(SLICED))
    caption = wait_for(page, "figcaption", "tokens").text
    plan = plan_views(*load_image(SLICED).size, Bundle.open().manifest.preprocessing, mode="16x")
    rows, columns = plan.grid
    assert f"{rows} x {columns} slices" in caption
    lines = all_of(page, ".seen svg line")
    assert len(lines) == rows + columns + 2
    picture, drawing = (page.find_element("css selector", f".seen {kind}").rect for kind in ("img", "svg"))
    assert all(abs(picture[side] - drawing[side]) <= 1 for side in ("x", "y", "width", "height"))
    with Assistant(threads=1) as assistant:
        expected = assistant.ask(SLICED, "What is labelled FEC?")
    assert f"{expected.usage.vision_tokens} tokens" in caption
    ask(page, "What is labelled FEC?")
    facts = wait_for(page, ".facts", "vision tokens").text
    assert f"{expected.usage.vision_tokens} vision tokens of {expected.usage.prompt_tokens}" in facts
    assert page.find_element("css selector", "article:last-child p").text == expected.text
    assert "encoder" in page.find_element("css selector", ".bar").get_attribute("aria-label")
    ask(page, "What is labelled FEC?")
    assert wait_for(page, "article:nth-child(4) .facts", "reused").text.count(f"{len(expected.views)}") >= 2


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_may_be_dropped_or_pasted(page: Chrome, kind: str) -> None:
    give(page, kind, BENCH, "image/png")
    wait_for(page, "figcaption", "tokens")
    ask(page, CODE)
    wait_for(page, "article:last-child p", "JX7")
    assert json.loads(shown_request(page))["messages"][0]["content"][1] == {"type": "text", "text": CODE}
    for name, begins in (("curl", "curl -s http"), ("Python", "import json")):
        page.find_element("xpath", f"//option[.='{name}']").click()
        assert at(page, "request").text.startswith(begins)


def test_a_picture_of_the_camera_is_asked_about(page: Chrome) -> None:
    at(page, "webcam").click()
    wait_for(page, "#shoot")
    page.execute_async_script(
        "const done = arguments[0], video = document.getElementById('camera');"
        "const look = () => video.videoWidth ? done() : setTimeout(look, 20); look();"
    )
    at(page, "shoot").click()
    wait_for(page, "figcaption", "tokens")
    at(page, "webcam").click()
    assert not at(page, "camera").is_displayed()
    at(page, "send").click()
    wait_for(page, ".facts", "views")


def test_the_grid_follows_the_settings(page: Chrome) -> None:
    at(page, "file").send_keys(str(SLICED))
    whole = wait_for(page, "figcaption", "slices of").text
    at(page, "slices").send_keys("1\t")
    alone = wait_for(page, "figcaption", "a thumbnail").text
    while "slices" in alone:
        alone = page.find_element("css selector", "figcaption").text
    assert alone != whole
    assert all_of(page, ".seen svg") == []
    page.find_element("css selector", "#attached button").click()
    assert all_of(page, "#attached figure") == []


def test_an_answer_can_be_stopped_and_an_error_is_told(page: Chrome) -> None:
    at(page, "slices").send_keys("0")
    page.execute_script("document.getElementById('ask').noValidate = true")
    ask(page, "What?")
    assert "max_slices" in wait_for(page, "#error", "max_slices").text
    assert page.get_log("browser")  # the browser notes the refusal itself, which is no fault of the page
    assert at(page, "question").get_attribute("value") == "What?"  # to be asked again
    for name in ("slices", "question"):
        at(page, name).clear()
    page.execute_script(HOLD)
    ask(page, "What?")
    at(page, "stop").click()
    wait_for(page, ".facts", "stopped")
    assert at(page, "send").is_enabled()


def test_a_new_conversation_begins_anew_even_during_an_answer(page: Chrome) -> None:
    page.execute_script(f"window.before = window.fetch; {HOLD}")
    ask(page, "What comes first?")
    at(page, "new").click()
    page.execute_script("window.fetch = window.before")
    wait_for(page, "#send:enabled")
    ask(page, "What is labelled FEC?")
    wait_for(page, ".facts", "vision tokens")
    request = shown_request(page)
    assert "What is labelled FEC?" in request
    assert "What comes first?" not in request


def test_everything_has_a_name_and_fits_a_phone(page: Chrome) -> None:
    page.execute_script("document.querySelector('details').open = true")
    fields = all_of(page, "button, input, select, textarea, [role=img], video")
    assert [field.get_attribute("id") for field in fields if field.is_displayed() and not field.accessible_name] == []
    size = page.get_window_size()
    page.set_window_size(390, 800)
    widths = page.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    page.set_window_size(size["width"], size["height"])
    assert widths[0] <= widths[1]


def test_the_page_asks_for_the_token(browser: Chrome) -> None:
    with running(UHD_TOKEN="let me in") as server:
        browser.get(server.url)
        wait_for(browser, "#token-form", "token")
        at(browser, "token").send_keys("let me in")
        browser.find_element("css selector", "#token-form button").click()
        wait_for(browser, "#model", "uhd-tiny")
        assert server.request("GET", "/plan?width=9&height=9").status == 401
        browser.get_log("browser")


def test_the_page_may_load_nothing_from_elsewhere(server: Running) -> None:
    policy = server.request("GET", "/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert server.request("GET", "/", headers={"Host": "attacker.example"}).status == 403


@pytest.mark.parametrize(
    "query",
    [
        *("", "width=0&height=1", "width=a&height=1", "width=9&height=9&mode=5x", "width=9&height=99999"),
        *(f"width={'9' * 5000}&height=1", "width=9&height=9&max_slices=-1", "width=9&height=9&max_slices=1e9"),
    ],
)
def test_a_picture_that_cannot_be_planned_is_one_line(server: Running, query: str) -> None:
    reply = server.request("GET", f"/plan?{query}")
    assert (reply.status, "\n" in reply.error["message"]) == (400, False)


def test_without_a_page_there_is_nothing_there() -> None:
    with running("--no-page") as server:
        assert server.request("GET", "/").status == server.request("GET", "/plan?width=9&height=9").status == 404


def test_what_the_server_was_started_with_is_the_default_that_the_page_shows_and_draws(browser: Chrome) -> None:
    with running("--mode", "4x", "--max-slices", "2") as server, Assistant(threads=1) as assistant:
        (model,) = server.request("GET", "/v1/models").json["data"]
        assert (model["mode"], model["max_slices"], model["modes"]) == ("4x", 2, ["16x", "4x"])
        browser.get(server.url)
        assert wait_for(browser, "#mode option", "default").text == "default (4x)"
        assert at(browser, "slices").get_attribute("placeholder") == "2"
        at(browser, "file").send_keys(str(SLICED))
        caption = wait_for(browser, "figcaption", "tokens").text
        expected = assistant.ask(SLICED, "What is labelled FEC?", mode="4x", max_slices=2)
        assert expected.views != assistant.ask(SLICED, "What is labelled FEC?").views
        assert f"{expected.usage.vision_tokens} tokens" in caption
        ask(browser, "What is labelled FEC?")
        assert wait_for(browser, ".facts", "vision tokens").text.startswith(f"4x; {len(expected.views)} views")
