"""The page at `/` in a real browser: a picture comes in, its grid is drawn, and the answer streams."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.browsing.page import all_of, ask, at, give, shown_request, wait_for
from support.browsing.proxy import in_folder
from support.running_server import CODE, EXAMPLES, Running, running

from uhd_edge.runtime import Assistant

if TYPE_CHECKING:
    from pathlib import Path

    from selenium.webdriver import Chrome

SLICED = EXAMPLES / "sliced.jpg"
BENCH = EXAMPLES / "bench.png"


def test_a_chosen_picture_is_asked_about_and_the_answer_says_what_it_took(page: Chrome) -> None:
    at(page, "file").send_keys(str(SLICED))
    caption = wait_for(page, "figcaption", "tokens").text
    with Assistant(threads=1) as assistant:
        expected = assistant.ask(SLICED, "What is labelled FEC?")
    assert f": {expected.usage.vision_tokens} tokens" in caption
    ask(page, "What is labelled FEC?")
    facts = wait_for(page, ".facts", "of pictures").text
    usage = expected.usage
    assert f"{usage.prompt_tokens} tokens in the prompt, {usage.vision_tokens} of them of pictures" in facts
    assert f"{usage.completion_tokens} tokens in the answer" in facts
    assert page.find_element("css selector", "article:last-child p").text == expected.text
    stages = [one.text.split()[0] for one in all_of(page, ".legend li")]
    assert len(stages) == len(all_of(page, ".bar span"))
    assert {"prefill", "generate"} <= set(stages)
    ask(page, "What is labelled FEC?")
    views = len(expected.views)
    assert f"{views} views, {views} of them reused" in wait_for(page, "article:nth-child(4) .facts", "reused").text


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


def test_files_that_are_chosen_one_after_the_other_each_come_once(page: Chrome) -> None:
    for file in (SLICED, BENCH, SLICED):
        at(page, "file").send_keys(str(file))
    wait_for(page, "#attached figure:nth-child(3) figcaption", "tokens")
    names = [one.text.split(",")[0] for one in all_of(page, "#attached figcaption")]
    assert sorted(names) == ["bench.png", "sliced.jpg", "sliced.jpg"]


def test_a_picture_that_cannot_be_read_is_called_by_its_name(page: Chrome, tmp_path: Path) -> None:
    """The request counts it as a part of a message, which tells a person nothing."""
    (broken := tmp_path / "broken.png").write_bytes(b"not a picture")
    for file in (BENCH, broken):
        at(page, "file").send_keys(str(file))
    wait_for(page, "figure:nth-child(2)", "broken.png")
    ask(page, CODE)
    assert wait_for(page, "#error", "PNG").text.startswith("broken.png: not an image")
    assert [one.text for one in all_of(page, "#attached button")] == ["Remove", "Remove"]
    assert page.get_log("browser")  # the browser notes the refusal itself


def test_the_page_asks_for_the_token(browser: Chrome) -> None:
    with running(UHD_TOKEN="let me in") as server:
        browser.get(server.url)
        wait_for(browser, "#token-form", "token")
        at(browser, "file").send_keys(str(BENCH))
        wait_for(browser, "#attached figcaption", "bench.png")
        for token, told in (("wrong", ""), ("let me in", "This token is wrong.")):
            assert wait_for(browser, "#error", told).text == told
            at(browser, "token").clear()
            at(browser, "token").send_keys(token)
            browser.find_element("css selector", "#token-form button").click()
        wait_for(browser, "#model", "uhd-tiny")
        wait_for(browser, "#attached figcaption", "tokens")  # which could not be known before
        assert server.request("GET", "/plan?width=9&height=9").status == 401
        browser.get_log("browser")


def test_a_proxy_may_have_the_page_in_a_folder(server: Running, browser: Chrome) -> None:
    with in_folder(server.address, "robot") as url:
        browser.get(url)
        wait_for(browser, "#model", "uhd-tiny")
        at(browser, "file").send_keys(str(BENCH))
        wait_for(browser, "#attached figcaption", "tokens")
        ask(browser, CODE)
        wait_for(browser, "article .answer", "JX7")
        shown_request(browser)
        browser.find_element("xpath", "//option[.='curl']").click()
        assert f"{url}v1/chat/completions" in at(browser, "request").text


def test_the_page_may_load_nothing_from_elsewhere(server: Running) -> None:
    policy = server.request("GET", "/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert server.request("GET", "/", headers={"Host": "attacker.example"}).status == 403


def test_without_a_page_there_is_nothing_there() -> None:
    with running("--no-page") as server:
        assert server.request("GET", "/plan?width=9&height=9").status == server.request("GET", "/page.js").status == 404
        assert (reply := server.request("GET", "/")).headers["content-type"].startswith("text/plain")
        assert reply.body == b"uhd-edge is running"
        assert server.request("HEAD", "/").status == 200
