"""The page for everyone: axe-core, the keyboard alone, composed characters, and a narrow screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.browsing.emulation import emulated, evaluated, serious_findings
from support.browsing.page import all_of, ask, at, shown_request, wait_for, wait_until
from support.running_server import EXAMPLES

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

STATES = ("empty", "with a picture", "answered", "with an error")
SCREENS = [(width, scheme) for width in (1100, 390) for scheme in ("light", "dark")]

# What has the focus: its id or its label, and whether that can be seen.
FOCUSED = """
(() => {
  const one = document.activeElement, shown = one.id === "file" ? one.nextElementSibling : one;
  return [one.id || one.ariaLabel || one.tagName, getComputedStyle(shown).outlineStyle !== "none"];
})()
"""


def bring_into(page: Chrome, state: str) -> None:
    """Bring the page from the state before into this one."""
    if state == "with a picture":
        at(page, "file").send_keys(str(EXAMPLES / "sliced.jpg"))
        wait_for(page, "figcaption", "3 x 3 slices")
    elif state == "answered":
        ask(page, "What is labelled FEC?")
        wait_for(page, ".facts", "of pictures")
        shown_request(page)
    elif state == "with an error":
        page.execute_script("window.fetch = () => Promise.reject(new TypeError('Failed to fetch'))")
        ask(page, "And now?")
        wait_for(page, "#error", "does not answer")
        page.execute_script("document.getElementById('token-form').hidden = false")


def test_axe_finds_nothing_serious_in_any_state_on_any_screen(page: Chrome) -> None:
    for state in STATES:
        bring_into(page, state)
        for width, scheme in SCREENS:
            with emulated(page, width=width, scheme=scheme):
                assert serious_findings(page) == [], (state, width, scheme)
                widths = evaluated(page, "[document.documentElement.scrollWidth, innerWidth]")
                assert widths[0] <= widths[1], (state, width)
                colour = evaluated(page, "getComputedStyle(document.body).backgroundColor")
                assert (colour == "rgb(255, 255, 255)") == (scheme == "light")


def test_axe_does_find_what_is_wrong(page: Chrome) -> None:
    page.execute_script("document.getElementById('keys').style.color = '#bbb'")
    assert [rule for rule, _ in serious_findings(page)] == ["color-contrast"]


def test_everything_has_a_name(page: Chrome) -> None:
    for state in STATES[:3]:
        bring_into(page, state)
    fields = all_of(page, "button, input, select, textarea, video, [role], [tabindex]")
    assert [field.get_attribute("id") for field in fields if field.is_displayed() and not field.accessible_name] == []
    (picture,) = all_of(page, "article .seen:not(.small) img")
    assert picture.accessible_name == "sliced.jpg"


@pytest.mark.parametrize("width", [320, 390])
def test_nothing_stands_beyond_the_edge_of_a_phone(page: Chrome, width: int) -> None:
    for state in STATES:
        bring_into(page, state)
    with emulated(page, width=width):
        beyond = (
            "[...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > innerWidth)"
        )
        assert evaluated(page, f"{beyond}.map((one) => one.outerHTML.slice(0, 80))") == []


def test_a_question_is_asked_and_its_request_copied_with_the_keyboard_alone(page: Chrome) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys: str) -> None:
        ActionChains(page).send_keys(*keys).perform()

    at(page, "file").send_keys(str(EXAMPLES / "sliced.jpg"))  # as the chooser does, which the keyboard opens
    wait_for(page, "figcaption", "3 x 3 slices")
    page.execute_script("document.activeElement.blur()")
    found = []
    while not found or found[-1][0] != "question":
        press(Keys.TAB)
        found.append(tuple(evaluated(page, FOCUSED)))
    assert [name for name, _ in found] == ["Remove sliced.jpg", "file", "webcam", "question"]
    press("What is labelled FEC?", Keys.ENTER)
    wait_for(page, ".facts", "of pictures")
    assert page.switch_to.active_element.get_attribute("id") == "question"
    for _ in range(8):
        press(Keys.TAB)
        found.append(tuple(evaluated(page, FOCUSED)))
    names = [name for name, _ in found[4:]]
    assert names == ["send", "new", "mode", "slices", "budget", "tokens", "SUMMARY", "BODY"]
    assert [name for name, is_seen in found if not is_seen] == ["BODY"]
    page.execute_script("document.querySelector('summary').focus()")
    press(Keys.ENTER)
    wait_until(page, "document.getElementById('sent').open")
    press(Keys.TAB, Keys.TAB, Keys.ENTER)
    wait_for(page, "#copied", "Copied.")


def test_enter_that_ends_a_composed_character_sends_nothing(page: Chrome) -> None:
    at(page, "question").click()
    composed = {"text": "にほん", "selectionStart": 3, "selectionEnd": 3}
    page.execute_cdp_cmd("Input.imeSetComposition", composed)
    assert at(page, "question").get_attribute("value") == "にほん"
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
    page.execute_script(
        "window.seen = []; document.addEventListener('keydown', (event) => window.seen.push(event.isComposing), true)"
    )
    page.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "rawKeyDown", **enter})
    page.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyUp", **enter})
    assert page.execute_script("return window.seen") == [True]
    assert all_of(page, "article") == []
    page.execute_cdp_cmd("Input.insertText", {"text": "日本"})
    assert at(page, "question").get_attribute("value") == "日本"
    page.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "rawKeyDown", **enter})
    page.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyUp", **enter})
    wait_for(page, ".facts", "tokens")
    assert page.find_element("css selector", "article p").text == "日本"


def test_shift_and_enter_begin_a_line(page: Chrome) -> None:
    from selenium.webdriver.common.keys import Keys

    at(page, "question").send_keys("one", Keys.SHIFT, Keys.ENTER, Keys.NULL, "two")
    assert at(page, "question").get_attribute("value") == "one\ntwo"
    assert all_of(page, "article") == []
