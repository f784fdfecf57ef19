"""The tokens of a streamed text come with the pieces that they belong to, and are those of the whole answer."""

from __future__ import annotations

import codecs
import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from support.running_server import CHAT, CODE, EXAMPLES, Running, asked, data_uri, running

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.answer import Answer, RankedText, TokenLogprob, Usage
from uhd_edge.runtime.generation.logprobs import trim_to
from uhd_edge.server.trimming import ShownTokens, Trimmed

if TYPE_CHECKING:
    from collections.abc import Iterator

BENCH = EXAMPLES / "bench.png"


def answered(text: str, tokens: list[TokenLogprob]) -> Answer:
    return Answer(text, "stop", Usage(0, 1, len(tokens)), (), {}, "16x", logprobs=trim_to(tokens, text))


@pytest.mark.parametrize("continues", [False, True])
def test_tokens_come_no_later_than_their_text_however_it_is_cut(continues: bool) -> None:
    dice = random.Random(3)
    for _ in range(300):
        text = "".join(dice.choices(["a", "bc", " ", "\n", "é", "漢", "🤖", "\u3000"], k=dice.randint(1, 12)))
        data, tokens = text.encode(), []
        while data:
            size = dice.randint(0, 4)
            tokens.append(TokenLogprob(len(tokens), data[:size], -1.0))
            data = data[size:]
        shown_tokens, trimmed = ShownTokens(begun=continues), Trimmed(begun=continues)
        decoder = codecs.getincrementaldecoder("utf-8")()
        shown, told, waiting = "", [], []
        for token in tokens:
            waiting.append(token)
            if not (piece := decoder.decode(token.data)):
                continue
            more = trimmed(piece)
            told += shown_tokens(RankedText(piece, tuple(waiting)), more)
            shown, waiting = shown + more, []
            assert shown in b"".join(token.data for token in told).decode(errors="ignore") or not shown.strip()
        whole = answered(text.rstrip() if continues else text.strip(), tokens)
        if whole.text:
            assert (*told, *shown_tokens.rest(whole)) == whole.logprobs


def test_a_text_that_its_tokens_do_not_spell_has_them_at_the_end() -> None:
    tokens = [TokenLogprob(0, b"a", -1.0), TokenLogprob(1, b"\xff", -1.0), TokenLogprob(2, b"b", -1.0)]
    shown = ShownTokens()
    told = shown(RankedText("a", (tokens[0],)), "a")
    told += shown(RankedText("\ufffd", (tokens[1],)), "\ufffd")
    told += shown(RankedText("b", (tokens[2],)), "b")
    assert told == (tokens[0],)
    assert shown.rest(answered("a\ufffdb", tokens)) == (tokens[1], tokens[2])
    assert shown.rest(answered("ab", tokens[::-1])) == ()


def test_pieces_of_a_stream_have_their_tokens(assistant: Assistant) -> None:
    pieces: list[Any] = list(stream := assistant.stream("Describe the scene.", logprobs=1, max_tokens=9, stop="zz"))
    assert all(isinstance(piece, RankedText) for piece in pieces)
    ranked = [token for piece in pieces for token in piece.tokens]
    assert trim_to(ranked, stream.answer.text) == stream.answer.logprobs
    assert pieces[0].tokens != stream.answer.logprobs
    assert not any(isinstance(piece, RankedText) for piece in assistant.stream("Describe the scene.", max_tokens=9))


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as server:
        yield server


def told(tokens: list[dict[str, Any]]) -> list[tuple[str, float, int]]:
    return [(one["token"], one["logprob"], len(one["top_logprobs"])) for one in tokens]


def test_streams_of_every_address_tell_the_tokens_with_their_text(server: Running, assistant: Assistant) -> None:
    whole = assistant.ask(BENCH, CODE, logprobs=2)
    expected = [(token.text, token.logprob, 2) for token in whole.logprobs]
    assert len(expected) > 1
    body = asked(BENCH.read_bytes(), f"?{CODE}", logprobs=True, top_logprobs=2, stream=True)
    events = server.request("POST", CHAT, body).body.decode().split("\n\n")[:-2]
    choices = [json.loads(event[6:])["choices"][0] for event in events]
    streamed = [token for choice in choices if choice["logprobs"] for token in choice["logprobs"]["content"]]
    assert told(streamed) == expected
    for choice in choices:
        if text := choice["delta"].get("content"):
            assert text == "".join(token["token"] for token in choice["logprobs"]["content"])
    look = [{"type": "input_image", "image_url": data_uri(BENCH.read_bytes())}, {"type": "input_text", "text": CODE}]
    body = {"input": [{"role": "user", "content": look}], "top_logprobs": 2, "stream": True}
    events = server.request("POST", "/v1/responses", body).body.decode().split("\n\n")[:-1]
    deltas = [json.loads(event.partition("data: ")[2]) for event in events if "output_text.delta" in event]
    assert told([token for delta in deltas for token in delta["logprobs"]]) == expected
    (done,) = [
        json.loads(event.partition("data: ")[2]) for event in events if "event: response.output_text.done" in event
    ]
    assert told(done["logprobs"]) == expected
    image = data_uri(BENCH.read_bytes()).partition(",")[2]
    body = {"model": "uhd-tiny", "prompt": CODE, "images": [image], "logprobs": True, "top_logprobs": 2}
    lines = [json.loads(line) for line in server.request("POST", "/api/generate", body).body.splitlines()]
    assert told([token for line in lines for token in line.get("logprobs", ())]) == expected
    assert all(line["response"] == "".join(one["token"] for one in line.get("logprobs", ())) for line in lines)


def test_tokens_come_with_text_that_a_stop_holds_back(server: Running, assistant: Assistant) -> None:
    whole = assistant.ask("Describe the scene.", logprobs=0, max_tokens=12)
    stop = whole.text[3:5] + "never"
    body = asked("?Describe the scene.", logprobs=True, max_tokens=12, stop=[stop], stream=True)
    events = server.request("POST", CHAT, body).body.decode().split("\n\n")[:-2]
    choices = [json.loads(event[6:])["choices"][0] for event in events]
    assert "".join(choice["delta"].get("content", "") for choice in choices) == whole.text
    streamed = [token for choice in choices if choice["logprobs"] for token in choice["logprobs"]["content"]]
    assert [token["logprob"] for token in streamed] == [token.logprob for token in whole.logprobs]
