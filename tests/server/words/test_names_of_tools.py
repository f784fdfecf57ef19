"""An error about a tool names its place in the request, whatever the tool is called."""

from __future__ import annotations

from typing import Any

import pytest
from support.server.asking import TOOL, asked, chat, ollama_chat, responses

from uhd_edge.server.errors import ApiError


@pytest.mark.parametrize("name", ["go_on", "123", "0", "a.b-c"])
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"parameters": "x"}, "parameters must be a JSON schema"),
        ({"parameters": {"type": "object"}, "input_schema": {}}, "input_schema and parameters differ"),
        ({"arguments": {"type": "object", "properties": {}}}, "arguments is not known"),
        ({"parameters": {"properties": {"a": {"$ref": "#/b"}}}}, "the parameters cannot be kept to"),
    ],
)
def test_a_tool_is_named_by_its_place_even_if_digits_are_its_name(name: str, wrong: dict[str, Any], told: str) -> None:
    for dialect in (chat, responses, ollama_chat):
        with pytest.raises(ApiError) as refused:
            asked(dialect, tools=[TOOL, {"type": "function", "function": {"name": name, **wrong}}])
        assert refused.value.param == "tools.1"
        assert str(refused.value).startswith(f"tools.1: {told}")


def test_of_two_tools_with_one_name_the_wrong_one_is_named() -> None:
    wrong = {"type": "function", "function": {"name": TOOL["function"]["name"], "parameters": "x"}}
    with pytest.raises(ApiError, match=r"^tools\.1: parameters must be"):
        asked(chat, tools=[TOOL, wrong])
