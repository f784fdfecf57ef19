"""Bodies of many small values are refused before each of them is looked at, and take no more memory than one image."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from support.running_server import CHAT, Running, asked
from support.server.every_address import ADDRESSES, question, refusal

from uhd_edge.server.errors import ApiError
from uhd_edge.server.openai.body import read_object

ASK = "?What?"
MANY = 90_000  # commas; a few more would be refused for their number alone
ONES = "[" + "1," * MANY + "1]"
NAMES = "{" + ",".join(f'"a{number}":1' for number in range(MANY)) + "}"

# Each a body's parameters beside the model, by address.
BOMBS: dict[str, tuple[str, ...]] = {
    "/v1/chat/completions": (
        f'"messages":{ONES}',
        f'"messages":[{{"role":"user","content":{ONES}}}]',
        '"messages":[' + ",".join(['{"role":"user","content":[1]}'] * (MANY // 5)) + "]",
        f'"messages":[{{"role":"assistant","content":"x","tool_calls":{ONES}}}]',
        f'"messages":[{{"role":"user","content":"x"}}],"tools":{ONES}',
        f'"messages":[{{"role":"user","content":"x"}}],"stop":{ONES}',
        f'"messages":[{{"role":"user","content":"x"}}],"logit_bias":{NAMES.replace("1,", "[],")}',
        '"messages":[' + ",".join(["{}"] * (MANY // 2)) + "]",
        f'"messages":[{{"role":"user","content":[{{"type":"video","video":{ONES}}}]}}]',
    ),
    "/v1/responses": (f'"input":{ONES}', f'"input":"x","tools":{ONES}', f'"input":"x","include":{ONES}'),
    "/api/chat": (f'"messages":{ONES}', f'"messages":[{{"role":"user","content":"x","images":{ONES}}}]'),
    "/api/generate": (f'"prompt":"x","images":{ONES}', f'"prompt":"x","options":{{"stop":{ONES}}}'),
}
IN_STRICT = (NAMES[1:-1], f'"messages":[{{"role":"user","content":"x",{NAMES[1:-1]}}}]')

READING = """
import json, resource, sys
from uhd_edge.server.model_facts import ModelFacts
from uhd_edge.server.ollama.dialects import Ollama
from uhd_edge.server.openai.chat import ChatCompletions
from uhd_edge.server.responses.dialect import Responses
from uhd_edge.server.errors import ApiError
facts = ModelFacts("uhd-tiny", ("4x", "16x"), "16x", 9, 4096, thinks=False, calls=True)
dialects = {"/v1/chat/completions": ChatCompletions(facts), "/v1/responses": Responses(facts),
            "/api/chat": Ollama(facts, "chat"), "/api/generate": Ollama(facts, "generate"),
            "strict": ChatCompletions(facts, strict=True)}
most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for address, text in json.load(sys.stdin):
    before = most()
    try:
        dialects[address].read(text.encode())
    except ApiError as error:
        print(json.dumps([str(error)[:200], most() - before]))
    else:
        print(json.dumps(["taken", most() - before]))
"""


def test_many_small_values_take_no_more_memory_than_one_image() -> None:
    bodies = [(address, text) for address, texts in BOMBS.items() for text in texts]
    bodies += [("strict", text) for text in IN_STRICT]
    sent = json.dumps([(address, f'{{"model":"uhd-tiny",{text}}}') for address, text in bodies])
    done = subprocess.run([sys.executable, "-c", READING], input=sent, capture_output=True, text=True, check=True)
    read = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(read) == len(bodies)
    for (address, text), (said, kilobytes) in zip(bodies, read, strict=True):
        assert kilobytes < 48_000, (address, text[:60], said, kilobytes)


@pytest.mark.parametrize("path", ADDRESSES)
def test_a_body_of_too_many_values_is_refused_whatever_they_are(server: Running, path: str) -> None:
    for values in ("1," * 100_001, "{}," * 50_001, "[" * 100_001):
        reply = server.request("POST", path, f'{{"model":"uhd-tiny","x":[{values}1]}}'.encode())
        assert (reply.status, "more than 100000" in refusal(path, reply.json)) == (413, True)


@pytest.mark.parametrize("path", ADDRESSES)
def test_a_long_text_may_have_any_number_of_commas_and_brackets(server: Running, path: str) -> None:
    text = ',[{"\\' * 40_000
    reply = server.request("POST", path, question(path, text))
    assert (reply.status, "the prompt needs" in refusal(path, reply.json)) == (400, True), reply.json


@pytest.mark.parametrize("text", ["", '"', "\\", '\\"', "a\\\\", '\\\\"', 'a"b,[{', ",[{"])
def test_what_is_text_and_what_is_not_is_told_apart_as_the_json_parser_does(text: str) -> None:
    body = {text: [text, {"x": text}] * 10, "y": text * 200_000}
    assert read_object(json.dumps(body, ensure_ascii=False).encode()) == body
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32-le"):
        many = json.dumps({text: text, "\u2200\u0122": [1] * 100_001}, ensure_ascii=False).encode(encoding)
        with pytest.raises(ApiError, match="more than 100000") as refused:
            read_object(many)
        assert refused.value.status == 413
    with pytest.raises(ApiError, match="more than 100000"):
        read_object(b'"",' * 100_001)
    with pytest.raises(ApiError, match="more than 100000"):
        read_object(b'{"y":"' + b"," * 100_001 + b'","x":' + b'""' * 10**6)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "uhd-tiny", "messages": [{"role": "user", "content": "x"}] * 4097}, "messages"),
        ({"model": "uhd-tiny", "messages": [{"role": "user", "content": [1] * 4097}]}, "messages.0.content"),
        (asked(ASK, stop=["x"] * 1001), "stop"),
        (asked(ASK, tools=[{}] * 1001), "tools"),
    ],
)
def test_a_list_that_is_too_long_is_told_with_its_length(server: Running, body: dict[str, Any], param: str) -> None:
    reply = server.request("POST", CHAT, body)
    assert (reply.status, reply.error["param"]) == (400, param)
    assert "items; at most" in reply.error["message"]
