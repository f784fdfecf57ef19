"""The page at `/` in a browser: its elements, and what a person does with it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from selenium.webdriver import Chrome

# Hands the page a file as a drop or a paste does.
GIVE = """
const [kind, name, type, data] = arguments;
const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
const given = new DataTransfer();
given.items.add(new File([bytes], name, {type}));
document.dispatchEvent(kind === "drop"
  ? new DragEvent("drop", {dataTransfer: given, bubbles: true, cancelable: true})
  : new ClipboardEvent("paste", {clipboardData: given, bubbles: true, cancelable: true}));
"""


def wait_for(browser: Chrome, selector: str, text: str = "") -> Any:
    """Wait until there is such an element with this in its text, and return it."""
    from selenium.common import StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    def found(browser: Chrome) -> Any:
        return next((one for one in browser.find_elements("css selector", selector) if text in one.text), None)

    return WebDriverWait(browser, 60, 0.05, [StaleElementReferenceException]).until(found)


def wait_until(browser: Chrome, condition: str) -> Any:
    """Wait until an expression of JavaScript is true, and return its value."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 60, 0.05).until(lambda browser: browser.execute_script(f"return {condition}"))


def at(browser: Chrome, name: str) -> Any:
    """The element with this id."""
    return browser.find_element("css selector", f"#{name}")


def all_of(browser: Chrome, selector: str) -> list[Any]:
    """All elements of a selector."""
    return browser.find_elements("css selector", selector)


def give(page: Chrome, kind: str, file: Path, media_type: str) -> None:
    """Drop or paste a file."""
    page.execute_script(GIVE, kind, file.name, media_type, base64.b64encode(file.read_bytes()).decode())


def ask(page: Chrome, question: str) -> None:
    """Write a question and send it."""
    at(page, "question").send_keys(question)
    at(page, "send").click()


def shown_request(page: Chrome) -> str:
    """The request as the page shows it."""
    page.execute_script("document.querySelector('#sent').open = true")
    return str(wait_until(page, "(text => text[0] === '{' && text)(document.getElementById('request').textContent)"))


def cells(figure: Any) -> list[list[tuple[str, bool]]]:
    """The views that are drawn over a figure's picture, in rows as they stand: their tokens, and whether reused."""
    drawn = [(one.rect, one) for one in figure.find_elements("css selector", ".seen:not(.small) .cell")]
    tops = sorted({round(rect["y"]) for rect, _ in drawn})
    rows = [sorted((r["x"], one) for r, one in drawn if round(r["y"]) == top) for top in tops]
    return [[(tokens_of(one), "reused" in one.get_attribute("class").split()) for _, one in row] for row in rows]


def tokens_of(cell: Any) -> str:
    """The number in a cell."""
    return str(cell.find_element("css selector", ".tokens").get_attribute("textContent")).split()[0]
