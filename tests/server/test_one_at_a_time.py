"""A server that answers several requests at once gives each the answer of one that answers it alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from support.running_server import CODE, EXAMPLES, Running, data_uri, running
from support.server.every_address import ADDRESSES, question

BENCH, WIDE = (data_uri((EXAMPLES / name).read_bytes()) for name in ("bench.png", "wide.png"))
ASKED: tuple[tuple[str, tuple[str, ...], dict[str, Any]], ...] = (
    (CODE, (BENCH,), {}),
    ("Which object is the leftmost?", (WIDE,), {}),
    ("Describe the scene.", (BENCH, WIDE), {"temperature": 0.9, "seed": 5}),
    ("Describe the scene.", (), {"temperature": 0.9, "seed": 6}),
)


def answers(server: Running) -> list[dict[str, Any]]:
    """All questions at every address, sent together, with what says nothing about the answers left out."""
    bodies = []
    for path in ADDRESSES:
        for text, images, settings in ASKED:
            body: dict[str, Any] = {**question(path, text, *images, most=12), "logprobs": True, "top_logprobs": 3}
            if "options" in body:
                body["options"] |= settings
            bodies.append((path, body if "options" in body else {**body, **settings}))
    with ThreadPoolExecutor(8) as clients:
        replies = list(clients.map(lambda asked: server.request("POST", *asked), bodies))
    assert [reply.status for reply in replies] == [200] * len(bodies)
    return [_kept(reply.json) for reply in replies]


def _kept(value: Any) -> Any:
    if isinstance(value, list):
        return [_kept(one) for one in value]
    if not isinstance(value, dict):
        return value
    left_out = ("id", "created", "created_at", "cached_tokens")
    return {
        name: _kept(inner) for name, inner in value.items() if name not in left_out and not name.endswith("_duration")
    }


def test_answers_of_several_at_once_are_those_of_one_at_a_time_bit_for_bit() -> None:
    """So are the probabilities and all counts but that of tokens in memory: a small model reads nothing together."""
    with running("--queue", "20") as server:
        together = answers(server)
    with running("--queue", "20", "--one-at-a-time") as server:
        alone = answers(server)
    assert together == alone
    text = alone[0]["choices"][0]
    assert (text["message"]["content"], len(text["logprobs"]["content"]) > 1) == ("JX7", True)
    assert alone[2] != alone[3]
