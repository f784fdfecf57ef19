"""Puts load on `uhd serve` with uhd-tiny: several clients at once. Counts the outcomes, and reads the memory.

    python benchmarks/serving/serve_load.py [CLIENTS] [REQUESTS]

Each request is about another picture, so that nothing comes from the cache of views. A client that is
told to try again later does so after a second. The server's resident memory is read after the
fiftieth request, when every client has been answered several times, and after the last.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from uhd_edge.tiny.world.drawing import draw_picture
from uhd_edge.tiny.world.scenes import SLICED, draw_scene

if TYPE_CHECKING:
    from collections.abc import Iterator

EARLY = 50

# Seconds that a client waits before it tries again, as the server's header Retry-After says.
RETRY_AFTER = 1.0


@dataclass(frozen=True)
class Load:
    """The number of responses by status, the resident memory in bytes, and the seconds that everything took."""

    statuses: Counter[int]
    early_memory: int
    last_memory: int
    seconds: float


def main() -> None:
    """Print the results. The exit code is 1 if a request was lost, or if the memory grew by more than 10 %."""
    clients, requests = (int(argument) for argument in (*sys.argv[1:], "8", "200")[:2])
    load = load_on_a_server(clients, requests)
    growth = load.last_memory / load.early_memory - 1
    lost = requests - load.statuses[200]
    print(f"{clients} clients, {requests} requests in {load.seconds:.1f} s: {dict(load.statuses)}, {lost} lost")
    print(f"memory: {load.early_memory / 1e6:.1f} MB after {EARLY}, {load.last_memory / 1e6:.1f} MB at the end")
    sys.exit(1 if lost or growth > 0.1 else 0)


def load_on_a_server(clients: int, requests: int) -> Load:
    """Start a server, send it requests, and end it."""
    bodies = [about_a_picture(number) for number in range(requests)]
    # With room for two clients less than there are, so that some are told to come again.
    with a_server("--queue", str(max(0, clients - 2)), "--one-at-a-time") as (server, address):
        return put_load(server, address, bodies, clients)


@contextmanager
def a_server(*arguments: str, tree: str | None = None) -> Iterator[tuple[int, tuple[str, int]]]:
    """Start a server with uhd-tiny, and end it at last. Yields its process id, and its host and port.

    `tree` is a folder with another version of this project, whose server is started.
    """
    command = [sys.executable, "-m", "uhd_edge.cli", "serve", "--port", "0", *arguments]
    environment = os.environ if tree is None else {**os.environ, "PYTHONPATH": tree}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        try:
            line = server.stderr.readline() if server.stderr else ""
            found = re.search(r"http://([\d.]+):(\d+)/v1", line)
            if not found:
                sys.exit(line)
            yield server.pid, (found[1], int(found[2]))
        finally:
            server.terminate()


def put_load(server: int, address: tuple[str, int], bodies: list[bytes], clients: int) -> Load:
    """Send bodies by so many clients at once, and read the memory of the process `server`."""
    statuses: Counter[int] = Counter()
    memory: list[int] = []
    finished: list[int] = []
    waiting, lock = iter(bodies), threading.Lock()

    def ask() -> None:
        while True:
            with lock:
                body = next(waiting, None)
            if body is None:
                return
            while (status := ask_server(address, body)) in (429, 503):  # told to come again, and does
                with lock:
                    statuses[status] += 1
                time.sleep(RETRY_AFTER)
            with lock:
                statuses[status] += 1
                finished.append(status)
                if len(finished) in (EARLY, len(bodies)):
                    memory.append(_resident(server))

    start = time.perf_counter()
    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(statuses, memory[0], memory[-1], time.perf_counter() - start)


def ask_server(address: tuple[str, int], body: bytes) -> int:
    """Ask, and read the whole answer. Returns the status; 0 if no answer came, and 1 if its end is missing."""
    connection = http.client.HTTPConnection(*address, timeout=300)
    try:
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
    ended = answer.endswith(b"data: [DONE]\n\n") if answer.startswith(b"data:") else bool(json.loads(answer))
    return response.status if ended else 1


def about_a_picture(number: int) -> bytes:
    """Return the body of a request about a picture of its own; every other one is streamed."""
    data = io.BytesIO()
    draw_picture(draw_scene(f"load {number}", SLICED)).save(data, "JPEG")
    image = {"type": "image_url", "image_url": {"url": f"data:;base64,{base64.b64encode(data.getvalue()).decode()}"}}
    content = [image, {"type": "text", "text": "Describe the scene."}]
    message = {"role": "user", "content": content}
    return json.dumps({"model": "uhd-tiny", "messages": [message], "stream": number % 2 == 0}).encode()


def _resident(process: int) -> int:
    """The resident memory of a process in bytes, from Linux's /proc."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{process}/status").read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    main()
