"""The documentation as a website: it builds strictly, fetches nothing, and a browser finds every page in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.browsing.browser import opened_browser
from support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

PUBLIC = (
    "Answer",
    "AnswerSchema",
    "AnswerStream",
    "AskOptions",
    "Assistant",
    "AsyncAnswerStream",
    "AsyncAssistant",
    "Bundle",
    "Encoded",
    "EncodedView",
    "ImagePart",
    "LimitedImage",
    "Message",
    "OpenOptions",
    "Plan",
    "Session",
    "TextPart",
    "TokenLogprob",
    "UhdError",
    "Usage",
    "Video",
    "VisionEncoder",
    "WatchResult",
    "answer_schema",
    "video_frames",
    "watch",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with opened_browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def pages_of(site: Path) -> list[str]:
    return sorted(page.name for page in site.glob("*.html") if page.name != "404.html")


def heading_of(page: str) -> str:
    """What the first line of a page's source says."""
    source = (ROOT / "docs" / page).with_suffix(".md").read_text(encoding="utf-8")
    return source.partition("\n")[0].removeprefix("# ")


def click_through_to(page: str, site: Path, browser: Chrome) -> int:
    """Go from the start page to `page` by its visible links, and return how many clicks it took, at most two."""
    start = (site / "index.html").as_uri()
    browser.get(start)
    if _click(page, browser):
        return 1
    for between in pages_of(site):
        browser.get(start)
        if _click(between, browser) and _click(page, browser):
            return 2
    raise AssertionError(f"{page} is not within two clicks of the start page")


def _click(page: str, browser: Chrome) -> bool:
    """Click on the first visible link to a page; whether there was one."""
    for link in browser.find_elements("css selector", f'a[href="{page}"]'):
        if link.is_displayed():
            link.click()
            return True
    return False


def test_every_page_is_within_two_clicks_of_the_start_page(site: Path, browser: Chrome) -> None:
    others = [page for page in pages_of(site) if page != "index.html"]
    assert len(others) >= 12
    for page in others:
        assert click_through_to(page, site, browser) <= 2
        assert Path(browser.current_url).name.partition("#")[0] == page
        assert browser.find_element("css selector", "article h1").text == heading_of(page)


def test_pages_load_from_the_disk_without_an_error_and_with_their_pictures(site: Path, browser: Chrome) -> None:
    for page in pages_of(site):
        browser.get((site / page).as_uri())
        for picture in browser.find_elements("css selector", "article img"):
            assert browser.execute_script("return arguments[0].complete && arguments[0].naturalWidth > 0", picture)
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    fetched = re.compile(r"<(?:script|img|iframe)[^>]*\ssrc=[\"']?https?:|<link[^>]*stylesheet[^>]*https?:|@import")
    for page in site.glob("*.html"):
        assert fetched.search(page.read_text(encoding="utf-8")) is None, page.name


@pytest.mark.parametrize("name", PUBLIC)
def test_the_page_on_the_api_describes_every_public_name(name: str, site: Path) -> None:
    page = (site / "api.html").read_text(encoding="utf-8")
    heading = re.search(rf'<h3 id="uhd_edge\.[\w.]*\b{name}"', page)
    assert heading is not None
    assert "<p>" in page[heading.end() : page.find("<h3", heading.end())]
