"""The report is one file that a browser shows without the network: pictures, questions, and both answers."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.browsing.browser import opened_browser

from uhd_edge.evaluation.asking.run import Order
from uhd_edge.evaluation.report import html
from uhd_edge.evaluation.report.html import shown_in, write_report
from uhd_edge.evaluation.report.summary import Summary
from uhd_edge.runtime.errors import OutputError


@pytest.fixture(scope="module")
def report(summary: Summary, asked: Order, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("html") / "report.html"
    write_report(summary, asked.data, file)
    return file


def test_a_browser_shows_the_questions_that_settings_answered_differently(report: Path, tmp_path: Path) -> None:
    with opened_browser(tmp_path) as browser:
        browser.get(report.as_uri())
        assert browser.title == "uhd-tiny on questions.jsonl"
        articles = browser.find_elements("css selector", "article")
        assert [one.get_attribute("id") for one in articles] == ["question-2", "question-3"]
        picture = articles[0].find_element("css selector", "img")
        assert browser.execute_script("return arguments[0].complete && arguments[0].naturalWidth", picture) == 480
        assert articles[0].find_element("css selector", ".question").text == "What is labelled FEC?"
        answers = articles[0].find_elements("css selector", "dd")
        assert [one.text for one in answers] == ["a red <star> 0", "a orange square 1"]
        assert [one.get_attribute("class") for one in answers] == ["bad", "good"]
        assert "60.0 %" in browser.find_element("css selector", "#settings").text
        assert "may be chance" in browser.find_element("css selector", "ul").text
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
        loaded = browser.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
        assert [name for name in loaded if not name.startswith("data:")] == []


def test_nothing_is_fetched_from_elsewhere(report: Path) -> None:
    assert re.search(r"https?:|<script|@import|<link", report.read_text(encoding="utf-8")) is None


def test_of_one_setting_the_questions_are_shown_that_it_got_wrong(
    summary: Summary, asked: Order, tmp_path: Path
) -> None:
    rows = [replace(one, rows=one.rows[:1], scores=one.scores[:1]) for one in summary.asked]
    alone = replace(summary, asked=tuple(rows), columns=summary.columns[:1], comparisons=())
    assert [one.number for one in shown_in(alone)] == [2, 4]
    write_report(alone, asked.data, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;Is &amp; was?&lt;/b&gt;" in page
    assert "q&lt;7&gt;" in page
    assert "none.png: no such file" in page


def test_a_report_is_there_whole_or_not_at_all(
    summary: Summary, asked: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(html, "_picture", full)
    with pytest.raises(OutputError, match=r"report\.html: cannot be written \(No space left on device\)"):
        write_report(summary, asked.data, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []
