"""What the page draws over a picture: the grid, the tokens of every view, and which were reused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from support.browsing.page import all_of, ask, at, cells, shown_request, tokens_of, wait_for, wait_until
from support.running_server import EXAMPLES, Running, running

from uhd_edge.runtime import Assistant, Bundle
from uhd_edge.runtime.images.loading import load_image
from uhd_edge.runtime.prompt.room import image_layout
from uhd_edge.runtime.vision.slicing import plan_views

if TYPE_CHECKING:
    from pathlib import Path

    from selenium.webdriver import Chrome

    from uhd_edge.runtime.modes import Mode

SLICED = EXAMPLES / "sliced.jpg"
WIDE = EXAMPLES / "wide.png"


def expected_grid(file: Path, mode: Mode, max_slices: int) -> list[list[str]]:
    """The tokens of the slices in their rows, as the plan has them; of the one view where there are no slices."""
    manifest = Bundle.open().manifest
    plan = plan_views(*load_image(file).size, manifest.preprocessing, mode=mode, max_slices=max_slices)
    tokens = [str(count) for count in image_layout(plan, manifest.vision).tokens]
    rows, columns = plan.grid
    return [tokens[1 + row * columns :][:columns] for row in range(rows)] or [tokens]


def drawn(page: Chrome, figure: str = "figure") -> list[list[str]]:
    return [[tokens for tokens, _ in row] for row in cells(page.find_element("css selector", figure))]


def reused(page: Chrome, figure: str = "figure") -> list[bool]:
    """Whether each view is marked, the thumbnail first."""
    marks = all_of(page, f"{figure} .small .cell") + all_of(page, f"{figure} .seen:not(.small) .cell")
    return ["reused" in one.get_attribute("class").split() for one in marks]


@pytest.mark.parametrize(("file", "mode", "slices"), [(SLICED, "4x", 9), (WIDE, "16x", 9), (SLICED, "4x", 2)])
def test_the_grid_is_that_of_the_plan_with_the_options_that_are_chosen(
    page: Chrome, file: Path, mode: Mode, slices: int
) -> None:
    at(page, "file").send_keys(str(file))
    wait_for(page, "figcaption", "tokens")
    page.find_element("xpath", f"//select[@id='mode']/option[.='{mode}']").click()
    at(page, "slices").send_keys(f"{slices}\t")
    expected = expected_grid(file, mode, slices)
    count = len(expected) * len(expected[0])
    tokens = f"cell => parseInt(cell.textContent) === {expected[0][0]}"
    wait_until(page, f"[...document.querySelectorAll('.seen:not(.small) .cell')].filter({tokens}).length === {count}")
    assert drawn(page) == expected
    picture, grid = (page.find_element("css selector", f".seen {kind}").rect for kind in ("img", ".grid"))
    assert all(abs(picture[side] - grid[side]) <= 1 for side in ("x", "y", "width", "height"))
    widths = {round(cell.rect["width"]) for cell in all_of(page, ".seen:not(.small) .cell")}
    assert all(abs(width - picture["width"] / len(expected[0])) <= 1.5 for width in widths)
    page.find_element("css selector", "#attached button").click()
    assert all_of(page, "#attached figure") == []


def test_one_slice_at_most_is_the_whole_picture(page: Chrome) -> None:
    at(page, "file").send_keys(str(SLICED))
    wait_for(page, "figcaption", "slices of")
    at(page, "slices").send_keys("1\t")
    wait_for(page, "figcaption", "one view")
    assert drawn(page) == expected_grid(SLICED, "16x", 1)
    assert all_of(page, ".thumbnail") == []


def test_what_the_server_was_started_with_is_the_default_that_the_page_shows_and_draws(browser: Chrome) -> None:
    with running("--mode", "4x", "--max-slices", "2") as server, Assistant(threads=1) as assistant:
        (model,) = server.request("GET", "/v1/models").json["data"]
        assert (model["mode"], model["max_slices"], model["modes"]) == ("4x", 2, ["16x", "4x"])
        browser.get(server.url)
        assert wait_for(browser, "#mode option", "default").text == "default (4x)"
        assert at(browser, "slices").get_attribute("placeholder") == "2"
        at(browser, "file").send_keys(str(SLICED))
        wait_for(browser, "figcaption", "tokens")
        assert drawn(browser) == expected_grid(SLICED, "4x", 2) != expected_grid(SLICED, "16x", 9)
        expected = assistant.ask(SLICED, "What is labelled FEC?", mode="4x", max_slices=2)
        ask(browser, "What is labelled FEC?")
        assert wait_for(browser, ".facts", "of pictures").text.startswith(f"4x; {len(expected.views)} views")


def test_views_that_were_reused_are_marked_and_others_are_not(page: Chrome, tmp_path: Path) -> None:
    picture = Image.effect_noise((700, 560), 80).convert("RGB")
    picture.save(tmp_path / "first.png")
    changed = picture.copy()
    changed.paste((200, 30, 30), (10, 10, 40, 40))  # in the first slice, and so in the thumbnail
    changed.save(tmp_path / "changed.png")
    marks = []
    for name in ("first", "changed", "changed"):
        at(page, "new").click()
        at(page, "file").send_keys(str(tmp_path / f"{name}.png"))
        wait_for(page, "#attached figcaption", "to be seen")
        assert not any(reused(page))
        ask(page, "What?")
        caption = wait_for(page, "article figcaption", ", seen as").text
        marks.append(reused(page))
        assert f"{sum(marks[-1])} of 10 reused" in caption or not any(marks[-1])
        assert f"{sum(marks[-1])} of them reused" in wait_for(page, ".facts", "views").text
    assert marks == [[False] * 10, [False, False, *[True] * 8], [True] * 10]


def test_after_an_answer_within_a_budget_the_grid_is_the_one_that_was_chosen(page: Chrome) -> None:
    at(page, "file").send_keys(str(SLICED))
    wait_for(page, "figcaption", "3 x 3")
    at(page, "budget").send_keys("1\t")
    wait_for(page, "figcaption", "the budget may choose otherwise")
    ask(page, "What is labelled FEC?")
    facts = wait_for(page, ".facts", "of pictures").text
    assert "thumbnails alone chosen for 1 ms, which cannot be met" in facts  # the fastest there is
    assert drawn(page) == expected_grid(SLICED, "16x", 1)
    assert all_of(page, ".thumbnail") == []
    at(page, "budget").clear()
    at(page, "budget").send_keys("1000000\t")
    ask(page, "And what is labelled TQS?")
    facts = wait_for(page, "article:nth-child(4) .facts", "of pictures").text
    assert "chosen for 1000000 ms;" in facts
    mode = facts.split(";")[0]
    assert mode == "4x"  # the most detail there is
    assert drawn(page) == expected_grid(SLICED, "4x", 9)
    assert json.loads(shown_request(page))["budget_ms"] == 1000000


def test_pictures_of_a_conversation_each_get_their_own_views(page: Chrome) -> None:
    for file, place in ((WIDE, 2), (SLICED, 4)):
        at(page, "file").send_keys(str(file))
        wait_for(page, "#attached figcaption", "tokens")
        ask(page, "What?")
        wait_for(page, f"article:nth-child({place}) .facts", "of pictures")
    assert drawn(page, "article:nth-child(1) figure") == expected_grid(WIDE, "16x", 9)
    assert drawn(page, "article:nth-child(3) figure") == expected_grid(SLICED, "16x", 9)
    assert all(reused(page, "article:nth-child(1) figure"))


def test_a_picture_that_is_turned_by_its_exif_is_planned_as_it_is_shown(page: Chrome, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    load_image(WIDE).save(tmp_path / "turned.jpg", exif=exif)
    at(page, "file").send_keys(str(tmp_path / "turned.jpg"))
    wait_for(page, "figcaption", "tokens")
    assert drawn(page) == expected_grid(tmp_path / "turned.jpg", "16x", 9)
    thumbnail = page.find_element("css selector", ".small .cell")
    assert tokens_of(thumbnail).isdecimal()


def test_a_file_that_is_no_picture_is_told_beside_it(page: Chrome, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    Image.new("RGB", (1, 30_000)).save(tmp_path / "thin.png")
    for name, said in (("broken.png", "this browser cannot show it"), ("thin.png", "too thin")):
        at(page, "file").send_keys(str(tmp_path / name))
        wait_for(page, "figure:last-child figcaption", said)
    assert page.get_log("browser")  # the browser notes the refusal itself, which is no fault of the page


@pytest.mark.parametrize(
    "query",
    [
        *("", "width=0&height=1", "width=a&height=1", "width=9&height=9&mode=5x", "width=9&height=99999"),
        *(f"width={'9' * 5000}&height=1", "width=9&height=9&max_slices=-1", "width=9&height=9&max_slices=1e9"),
        *(f"width=9&height=9&seconds={wrong}" for wrong in ("", "nan", "-1", "inf", "x", "9" * 5000)),
        "width=9&height=9&seconds=1&before=25000000",
    ],
)
def test_what_cannot_be_planned_is_one_line(server: Running, query: str) -> None:
    reply = server.request("GET", f"/plan?{query}")
    assert (reply.status, "\n" in reply.error["message"]) == (400, False)
