"""Whatever has a wrong type is refused in words of JSON, and at the place where the client wrote it."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from support.server.whole_bodies import BODIES, places, value_at

from uhd_edge.server.dialect import AnsweredError
from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.server.dialect import Dialect

WRONG: list[Any] = [None, -1, 1.5, True, "x", [None], {}, {"a": {"b": []}}]
OF_PYTHON = re.compile(
    r"\b(?:None|True|False|NoneType|int|str|dict|bool|tuple|Input|Extra|Value error|Field required|validation|tag)\b"
    r"|should be|should have|instance of|\b(?:is|are) (?:list|float)\b"
)
NAME = re.compile(r"[a-z_]\w*(?:\.\w+)*")


def mistaken(body: Any) -> Iterator[tuple[str, Any]]:
    """Every place of a body, and the body with something wrong there."""
    for *above, last in places(body):
        for wrong in WRONG:
            changed = copy.deepcopy(body)
            value_at(changed, tuple(above))[last] = wrong
            yield ".".join(map(str, (*above, last))), changed


def stands_in(body: Any, name: str) -> bool:
    """Whether a place is one of a body, or would be one in what the body has around it."""
    *above, last = name.split(".")
    for step in above:
        body = body[int(step)] if isinstance(body, list) else body.get(step) if isinstance(body, dict) else None
    return isinstance(body, dict) or (isinstance(body, list) and last.isdecimal() and int(last) < len(body))


def refusals(dialect: Dialect) -> Iterator[tuple[str, Any, ApiError]]:
    """The place of each mistake that is refused, the body with it, and the error."""
    for place, body in mistaken(BODIES[dialect]):
        try:
            dialect.read(json.dumps(body).encode())
        except AnsweredError:
            continue  # nothing is asked
        except ApiError as error:
            yield place, body, error


@pytest.mark.parametrize("dialect", BODIES)
def test_whatever_has_a_wrong_type_is_refused_in_words_of_json_and_where_it_stands(dialect: Dialect) -> None:
    refused = list(refusals(dialect))
    assert len(refused) > 30
    for place, body, error in refused:
        assert not OF_PYTHON.search(str(error)), (place, str(error))
        assert error.param is not None, (place, str(error))
        assert str(error).startswith(error.param), (place, str(error))
        for named in [error.param, *(one for one in NAME.findall(str(error)) if re.search(r"\.\d", one))]:
            assert stands_in(body, named), (place, str(error))
