"""Another screen, another scheme of colours, and axe-core, in a browser that is open."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome


@contextmanager
def emulated(browser: Chrome, *, width: int = 1100, height: int = 900, scheme: str = "light") -> Iterator[None]:
    """A screen of this size in pixels, which prefers `light` or `dark` colours; as before after the `with` block."""
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def serious_findings(browser: Chrome) -> list[tuple[str, list[str]]]:
    """What axe-core finds that is serious or critical: its rules, and the elements that break them.

    It comes in through DevTools, because the page's own policy lets no script in.
    """
    if not evaluated(browser, "'axe' in window"):
        selenium_axe_python = pytest.importorskip("selenium_axe_python")
        source = Path(str(selenium_axe_python.__file__)).parent / "axe-core" / "axe.min.js"
        evaluated(browser, f"{source.read_text()}; 0")
    violations = json.loads(
        evaluated(
            browser,
            "axe.run(document, {resultTypes: ['violations']}).then((found) => JSON.stringify(found.violations))",
        )
    )
    return [
        (finding["id"], [node["html"] for node in finding["nodes"]])
        for finding in violations
        if finding["impact"] in ("serious", "critical")
    ]


def evaluated(browser: Chrome, expression: str) -> Any:
    """The value of an expression, which may be a promise."""
    asked = {"expression": expression, "awaitPromise": True, "returnByValue": True}
    result = browser.execute_cdp_cmd("Runtime.evaluate", asked)
    assert "exceptionDetails" not in result, result
    return result["result"].get("value")
