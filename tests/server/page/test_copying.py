"""What the page copies runs, and without https it copies too, and says why there is no camera."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.browsing.page import ask, at, give, shown_request, wait_for
from support.running_server import CODE, EXAMPLES, Running, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

BENCH = EXAMPLES / "bench.png"


def copied(page: Chrome, kind: str = "JSON") -> str:
    """Press Copy, paste into the question, and return what came."""
    from selenium.webdriver.common.keys import Keys

    page.find_element("xpath", f"//option[.='{kind}']").click()
    at(page, "copy").click()
    wait_for(page, "#copied", "Copied.")
    question = at(page, "question")
    question.clear()
    question.send_keys(Keys.CONTROL, "v")
    return str(question.get_attribute("value"))


def ask_about_the_bench(page: Chrome) -> str:
    give(page, "drop", BENCH, "image/png")
    wait_for(page, "#attached figcaption", "tokens")
    at(page, "budget").send_keys("100000")
    ask(page, CODE)
    wait_for(page, "article:last-child .answer", "JX7")
    wait_for(page, ".facts", "tokens")
    return shown_request(page)


@pytest.fixture(scope="module")
def open_server() -> Iterator[Running]:
    with running("--host", "0.0.0.0") as server:
        yield server


@pytest.fixture
def far(open_server: Running, browser: Chrome) -> Chrome:
    """The page by http from another machine's name, which is no secure context."""
    browser.get(f"http://robot.example:{open_server.address[1]}/")
    wait_for(browser, "#model", "uhd-tiny")
    missing = browser.execute_script("return [isSecureContext, !navigator.clipboard, !navigator.mediaDevices]")
    assert missing == [False, True, True]
    return browser


def test_what_is_copied_asks_the_same(page: Chrome) -> None:
    shown = ask_about_the_bench(page)
    whole = copied(page)
    assert "base64" in whole
    assert shown.split("base64,")[0] == whole.split("base64,")[0]
    assert json.loads(whole)["budget_ms"] == 100000
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(copied(page, "Python"), "copied", "exec"), {})
    assert printed.getvalue() == "JX7\n"
    if shutil.which("curl"):
        done = subprocess.run(["sh", "-c", copied(page, "curl")], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "JX7"


def test_without_https_it_copies_in_the_old_way(far: Chrome) -> None:
    ask_about_the_bench(far)
    assert json.loads(copied(far))["model"] == "uhd-tiny"
    assert ".." in at(far, "request").text  # what is shown stays short


def test_where_a_browser_copies_nothing_the_request_is_selected(far: Chrome) -> None:
    ask_about_the_bench(far)
    far.execute_script("document.execCommand = () => false")
    at(far, "copy").click()
    assert "only over https or at localhost" in wait_for(far, "#copied", "Ctrl+C").text
    selected = far.execute_script("return getSelection().toString()")
    assert json.loads(selected)["model"] == "uhd-tiny"


def test_without_https_the_camera_says_what_it_needs(far: Chrome) -> None:
    at(far, "webcam").click()
    said = wait_for(far, "#error", "camera").text
    assert "only over https or at localhost" in said
    assert "Choose a picture" in said
    assert "\n" not in said
    assert at(far, "webcam").text == "Camera"
    assert not at(far, "shoot").is_displayed()
    assert [entry for entry in far.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_a_camera_that_is_refused_is_told(page: Chrome) -> None:
    refused = "Promise.reject(new DOMException('Permission denied', 'NotAllowedError'))"
    page.execute_script(f"navigator.mediaDevices.getUserMedia = () => {refused}")
    at(page, "webcam").click()
    assert wait_for(page, "#error", "camera").text == "The camera cannot be used: Permission denied"
