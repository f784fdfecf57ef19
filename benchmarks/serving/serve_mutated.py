"""Sends mutated requests to `uhd serve` with uhd-tiny: each gets an answer, or one clear line with a 4xx status.

    python benchmarks/serving/serve_mutated.py [REQUESTS] [SEED]

Valid bodies of every address are changed in one to three places: a value becomes another one, a name is left out or
misspelt, a list grows, or single bytes change.
"""

from __future__ import annotations

import copy
import http.client
import json
import random
import sys
from collections import Counter
from typing import Any

from serve_load import a_server, about_a_picture

PIXEL = json.loads(about_a_picture(0))["messages"][0]["content"][0]
TEXT = {"type": "text", "text": "What is it?"}
TOOL = {"type": "function", "function": {"name": "move", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [PIXEL, TEXT]},
    {"role": "assistant", "content": "A star.", "tool_calls": []},
    {"role": "user", "content": "Which colour?"},
]
FORMAT = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"model": "uhd-tiny", "messages": TURNS, "max_tokens": 4, "temperature": 0.5, "seed": 3}),
    (
        "/v1/chat/completions",
        {"messages": TURNS[3:], "max_tokens": 4, "tools": [TOOL], "stop": ["a"], "logprobs": True},
    ),
    ("/v1/chat/completions", {"messages": TURNS[1:2], "max_tokens": 9, "response_format": FORMAT, "n": 2}),
    ("/v1/chat/completions", {"messages": TURNS[3:], "max_tokens": 4, "stream": True, "logit_bias": {"7": 1.5}}),
    ("/v1/responses", {"input": [{"role": "user", "content": "What?"}], "max_output_tokens": 4, "instructions": "So"}),
    ("/v1/responses", {"input": "What?", "max_output_tokens": 4, "text": {"format": {"type": "text"}}, "stream": True}),
    ("/api/chat", {"messages": TURNS[3:], "stream": False, "options": {"num_predict": 4, "top_k": 3}}),
    ("/api/generate", {"prompt": "What?", "options": {"num_predict": 4}, "format": SCHEMA, "keep_alive": "5m"}),
]
ODD: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 2**31, -(2**63), 10**400, 1e308, float("nan"), float("inf"), "", " ", "a", "\0"),
    *("\ud800", "é" * 300, "data:,", "data:image/png;base64,AAAA", "http://localhost/", [], {}, [[]], [None], {"": {}}),
    *([{}], {"type": "image_url"}, {"$ref": "#"}, {"type": ["string", 1]}, {"pattern": "(a*)*b"}, "user", "assistant"),
]


def main() -> None:
    """Print how many got which status. The exit code is 1 if one was not answered clearly."""
    requests, seed = (int(argument) for argument in (*sys.argv[1:], "1000", "0")[:2])
    rng = random.Random(seed)  # noqa: S311  # the same requests for the same seed
    statuses: Counter[int] = Counter()
    wrong = 0
    with a_server() as (_, address):
        for number in range(requests):
            path, body = rng.choice(BODIES)
            data = _mutated(body, rng)
            status, answer = _ask(address, path, data)
            statuses[status] += 1
            if not (status == 200 or (400 <= status < 500 and _is_clear(answer))):
                wrong += 1
                print(f"request {number} to {path}: status {status}, {answer[:300]!r}\n  {data[:1000]!r}", flush=True)
    print(f"{requests} requests: {dict(statuses)}, {wrong} without a clear answer")
    sys.exit(1 if wrong else 0)


def _mutated(body: dict[str, Any], rng: random.Random) -> bytes:
    body = copy.deepcopy(body)
    for _ in range(rng.randint(1, 3)):
        _change(rng.choice(list(_places(body))), rng)
    data = bytearray(json.dumps(body).encode())
    if rng.random() < 0.1:
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def _places(value: Any) -> Any:
    """Yield every object and list that is not empty."""
    if value and isinstance(value, dict | list):
        yield value
        for part in value.values() if isinstance(value, dict) else value:
            yield from _places(part)


def _change(place: Any, rng: random.Random) -> None:
    key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
    kind = rng.randrange(5)
    if kind == 0:
        del place[key]
    elif kind == 1 and isinstance(place, dict):
        place[f"{key}x"] = place.pop(key)
    elif kind == 2 and isinstance(place, list):
        place.extend([copy.deepcopy(place[key])] * rng.choice([1, 30]))
    else:
        place[key] = copy.deepcopy(rng.choice(ODD))


def _ask(address: tuple[str, int], path: str, data: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*address, timeout=120)
    try:
        connection.request("POST", path, data, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error).encode()
    finally:
        connection.close()


def _is_clear(answer: bytes) -> bool:
    """Whether an error is one line that says something."""
    error = json.loads(answer).get("error")
    text = error if isinstance(error, str) else error.get("message", "")
    return bool(text.strip()) and len(text) < 1000 and "\n" not in text


if __name__ == "__main__":
    main()
