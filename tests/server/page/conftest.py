"""A server and a browser for all modules here, and the page in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.browsing.browser import opened_browser
from support.browsing.page import wait_for
from support.running_server import Running, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")

# A name of this machine that no browser holds for this machine itself, as that of a robot in the same house.
ELSEWHERE = "robot.example"


@pytest.fixture(scope="package")
def server() -> Iterator[Running]:
    with running() as server:
        yield server


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with opened_browser(
        tmp_path_factory.mktemp("browser"), *CAMERA, f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"
    ) as opened:
        yield opened


@pytest.fixture
def page(server: Running, browser: Chrome) -> Iterator[Chrome]:
    """The page, anew; afterwards nothing has been wrong in it, and nothing came from elsewhere."""
    browser.get(server.url)
    wait_for(browser, "#model", "uhd-tiny")
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    addresses = browser.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert addresses
    assert all(address.startswith((server.url, "data:", "blob:")) for address in addresses)
