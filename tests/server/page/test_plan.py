"""What `/plan` cannot plan is said in a line that names the parameter, what it is and what it may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.running_server import Running

SIDE = "it must be a whole number from 1 to 100000"
SECONDS = "it must be a number above 0 and up to 1000000000, or unknown"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("height=5", f"width is missing; {SIDE}"),
        ("width=5", f"height is missing; {SIDE}"),
        *((f"width={wrong}&height=5", f"width is '{wrong}'; {SIDE}") for wrong in ("", "0", "x", "5.5", "1e2")),
        (f"width={'9' * 5000}&height=5", f"width is '{'9' * 40}'; {SIDE}"),
        ("width=5&height=5&max_slices=0", "max_slices is '0'; it must be a whole number from 1 to 10000"),
        ("width=5&height=5&mode=5x", "mode is '5x'; it must be one of 16x, 4x"),
        *((f"width=5&height=5&seconds={wrong}", f"seconds is '{wrong}'; {SECONDS}") for wrong in ("", "nan", "1_0")),
        ("width=5&height=5&seconds=5&before=-1", "before is '-1'; it must be a whole number from 0 to 1000000000000"),
        ("width=5&height=90000", "width: an image of 5 x 90000 pixels is too thin: it would be a view of"),
        ("width=90000&height=5", "height: an image of 90000 x 5 pixels is too thin: it would be a view of"),
        ("width=5&width=6&height=5", "width is given more than once; give it once"),
    ],
)
def test_what_cannot_be_planned_is_named(server: Running, query: str, told: str) -> None:
    reply = server.request("GET", f"/plan?{query}")
    assert (reply.status, reply.error["message"][: len(told)]) == (400, told)
    assert told.startswith(reply.error["param"])


def test_what_is_not_read_is_named_in_the_header(server: Running) -> None:
    reply = server.request("GET", "/plan?width=5&height=5&max_slice=4&seconds=1e1&before=0")
    names = {name.lower(): value for name, value in reply.headers.items()}
    assert (reply.status, names["x-uhd-ignored"]) == (200, "max_slice")
    reply = server.request("GET", "/plan?width=5&height=5&seconds=1")
    assert "x-uhd-ignored" not in {name.lower() for name in reply.headers}
