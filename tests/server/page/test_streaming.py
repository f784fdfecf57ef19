"""An answer on the page while it is written: it grows, it is stopped, it fails, and the question comes back."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest
from support.browsing.emulation import emulated
from support.browsing.page import all_of, ask, at, give, shown_request, wait_for, wait_until
from support.conversations.long_answer import LONG
from support.running_server import CHAT, EXAMPLES, Running, asked, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

BENCH = EXAMPLES / "bench.png"
GONE = f'uhd_requests_total{{path="{CHAT}",status="499"}}'
PIECES = "uhd_pieces_total"
BEGUN = "document.querySelector('article .answer')?.textContent.length > 20"
LONG_FORMAT = {"type": "json_schema", "json_schema": {"name": "long", "schema": LONG}}

# Asks for an answer of thousands of tokens; everything else is the page's own request.
LENGTHEN = """
const [schema] = arguments, before = window.fetch;
window.fetch = (address, options) => {
  const body = options.body && JSON.parse(options.body);
  const long = {max_tokens: 4000, response_format: {type: "json_schema", json_schema: {name: "long", schema}}};
  return before(address, body ? {...options, body: JSON.stringify({...body, ...long})} : options);
};
"""

# Notes every state of the last answer.
WATCH = """
window.states = [];
window.places = new Set();
window.ends = [];
new MutationObserver(() => {
  const text = document.querySelector("article .answer")?.textContent;
  if (text && text !== window.states.at(-1)) window.states.push(text);
  const stop = document.getElementById("stop"), box = stop.getBoundingClientRect();
  if (!stop.disabled) window.places.add(`${box.left} ${box.top} ${box.bottom < innerHeight}`);
  if (!stop.disabled) window.ends.push(document.querySelector("article:last-child").getBoundingClientRect().bottom);
}).observe(document.getElementById("log"), {childList: true, subtree: true, characterData: true});
"""

# Lets every further answer wait until it is stopped.
HOLD = """
window.before = window.fetch;
window.fetch = (address, options) => options.signal ? new Promise((_, reject) =>
  options.signal.addEventListener("abort", () => reject(new DOMException("", "AbortError")))) :
  window.before(address, options);
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """One whose answers share a processor by turns, of its own, so that its numbers are those of a test."""
    with running("--at-once", "2") as server:
        yield server


def test_the_answer_grows_on_the_page_while_it_is_written(page: Chrome) -> None:
    page.execute_script(WATCH)
    page.execute_script(LENGTHEN, {**LONG, "minItems": 300, "maxItems": 300})
    ask(page, "Count.")
    wait_for(page, ".facts", "tokens in the answer")
    states = page.execute_script("return window.states")
    assert len(states) > 3
    assert all(longer.startswith(shorter) for shorter, longer in itertools.pairwise(states))
    assert len(json.loads(states[-1])) == 300


@pytest.mark.parametrize("width", [1100, 390])
def test_while_an_answer_grows_its_end_is_seen_and_stop_stays_where_it_is(page: Chrome, width: int) -> None:
    with emulated(page, width=width, height=400):
        page.execute_script(WATCH)
        page.execute_script(LENGTHEN, {**LONG, "minItems": 500, "maxItems": 500})
        ask(page, "Count.")
        wait_for(page, ".facts", "tokens in the answer")
        (place,) = page.execute_script("return [...window.places]")
        assert place.endswith(" true")
        ends = page.execute_script("return [window.ends, innerHeight, document.documentElement.scrollHeight]")
        assert ends[2] > 1.5 * ends[1]  # the answer is longer than the screen
        assert max(ends[0]) <= ends[1]


def test_who_scrolls_up_to_read_stays_there_while_the_answer_grows(page: Chrome) -> None:
    with emulated(page, width=390, height=400):
        page.execute_script(LENGTHEN, {**LONG, "minItems": 500, "maxItems": 500})
        ask(page, "Count.")
        wait_until(page, "scrollY > 200")
        page.execute_script("scrollTo(0, 0)")
        wait_for(page, ".facts", "tokens in the answer")
        assert page.execute_script("return scrollY") == 0


@pytest.mark.parametrize("how", ["button", "key"])
def test_a_stopped_answer_is_not_written_any_further_by_the_server(page: Chrome, server: Running, how: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    gone, before = server.metric(GONE), server.metric(PIECES)
    page.execute_script(LENGTHEN, LONG)
    ask(page, "Count.")
    wait_until(page, BEGUN)
    if how == "button":
        at(page, "stop").click()
    else:
        at(page, "question").send_keys("\ue00c")  # Escape
    wait_for(page, "article .facts", "stopped")
    text = page.find_element("css selector", "article .answer").text
    assert text.startswith("[")
    WebDriverWait(server, 60, 0.02).until(lambda server: server.metric(GONE) > gone)  # it notices by the connection
    written = server.metric(PIECES)
    assert 0 < written - before < 3000
    body = asked("?Count.", max_tokens=200, response_format=LONG_FORMAT)
    usage = server.request("POST", CHAT, body).json["usage"]
    # Answers in work take turns: had the first one gone on, it would have grown by as much as this one.
    assert written < server.metric(PIECES) <= written + usage["completion_tokens"] + 2
    assert page.find_element("css selector", "article .answer").text == text
    assert at(page, "send").is_enabled()
    assert not at(page, "stop").is_enabled()


def test_a_conversation_goes_on_after_a_stopped_answer(page: Chrome) -> None:
    page.execute_script(LENGTHEN, LONG)
    ask(page, "Count.")
    wait_until(page, BEGUN)
    at(page, "stop").click()
    wait_for(page, "article .facts", "stopped")
    text = page.find_element("css selector", "article .answer").text
    ask(page, "And now?")
    wait_until(page, "document.querySelectorAll('article').length === 4")
    messages = json.loads(shown_request(page))["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"].strip() == text
    at(page, "stop").click()


def test_what_is_stopped_before_its_first_word_can_be_asked_again(page: Chrome) -> None:
    give(page, "drop", BENCH, "image/png")
    wait_for(page, "#attached figcaption", "tokens")
    page.execute_script(HOLD)
    ask(page, "What is it?")
    at(page, "stop").click()
    wait_for(page, "#note", "Stopped before the first word")
    assert at(page, "question").get_attribute("value") == "What is it?"
    assert all_of(page, "article") == []
    page.execute_script("window.fetch = window.before")
    at(page, "send").click()
    wait_for(page, ".facts", "of pictures")
    (message,) = json.loads(shown_request(page))["messages"]
    assert [part["type"] for part in message["content"]] == ["image_url", "text"]


def test_a_refused_question_comes_back_with_its_pictures(page: Chrome) -> None:
    give(page, "drop", BENCH, "image/png")
    wait_for(page, "#attached figcaption", "tokens")
    at(page, "slices").send_keys("0")
    page.execute_script("document.getElementById('ask').noValidate = true")
    ask(page, "What is the code on the white star?")
    assert "max_slices" in wait_for(page, "#error", "max_slices").text
    assert page.get_log("browser")  # the browser notes the refusal itself, which is no fault of the page
    assert at(page, "question").get_attribute("value") == "What is the code on the white star?"
    assert [image.get_attribute("alt") for image in all_of(page, "#attached img")] == ["bench.png"]
    assert all_of(page, "article") == []
    at(page, "slices").clear()
    at(page, "send").click()
    wait_for(page, "article:last-child p", "JX7")
    assert at(page, "error").text == ""
    (message,) = json.loads(shown_request(page))["messages"]
    assert [part["type"] for part in message["content"]] == ["image_url", "text"]


def test_a_server_that_does_not_answer_is_told_in_one_line(page: Chrome) -> None:
    page.execute_script("window.fetch = () => Promise.reject(new TypeError('Failed to fetch'))")
    ask(page, "What?")
    assert "does not answer" in wait_for(page, "#error", "server").text
    assert at(page, "question").get_attribute("value") == "What?"


def test_a_new_conversation_begins_anew_even_during_an_answer(page: Chrome) -> None:
    page.execute_script(HOLD)
    ask(page, "What comes first?")
    at(page, "new").click()
    page.execute_script("window.fetch = window.before")
    wait_for(page, "#send:enabled")
    assert at(page, "question").get_attribute("value") == ""
    ask(page, "What is labelled FEC?")
    wait_for(page, ".facts", "tokens in the answer")
    request = shown_request(page)
    assert "What is labelled FEC?" in request
    assert "What comes first?" not in request
