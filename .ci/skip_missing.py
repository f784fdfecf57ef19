"""A plugin for pytest that skips what needs a large package that is not installed, instead of failing.

`.ci/quick-tests` uses it. The whole suite does not: there a missing package is an error.
"""

from __future__ import annotations

import re
from collections.abc import Generator

import pytest

LARGE = frozenset({"dora", "openai", "torch"})
# transformers leaves the name out of a module when torch is missing.
MISSING = re.compile(r"(?:ModuleNotFoundError: No module named|NameError: name) '(\w+)")


def _large(text: str) -> str | None:
    """The large package that an error's text says is missing, if it says so."""
    names = LARGE.intersection(MISSING.findall(text))
    return min(names, default=None)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Skip a file that imports such a package."""
    report = yield
    if report.failed and (name := _large(str(report.longrepr))):
        report.outcome, report.longrepr = "skipped", (str(collector.path), 1, f"{name} is not installed")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Skip a test that imports such a package itself, or whose fixture does."""
    report = yield
    if report.failed and (name := _large(str(report.longrepr))):
        report.outcome, report.longrepr = "skipped", (str(item.path), 1, f"{name} is not installed")
    return report
