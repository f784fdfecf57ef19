"""Uses a checkpoint as its users do, and measures it: export, `uhd ask`, a chat of three turns, `uhd serve`.

    python benchmarks/checkpoint/as_used.py CHECKPOINT BUNDLE [--steps export,ask,chat,serve]
        [--precision fp32] [--tokens 32]

CHECKPOINT is MiniCPM-V 4.6, or the stand-in that `stand_in.py` makes. BUNDLE is made from it, with
a language model in Q4_K_M, unless it is there. Every command runs in a process of its own, whose
peak memory is read when it ends. Pictures are drawn: one view of 448x448, and 1344x1344, which is
cut into nine slices beside its overview.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

QUESTION = "What is in this picture?"
TURNS = (QUESTION, "What else is there?", "And in the corner?")
SIDES = {"one view": 448, "ten views": 1344}
UHD = (sys.executable, "-m", "uhd_edge.cli")


@dataclass(frozen=True)
class Run:
    """What a command printed, its seconds, and the peak of its memory in `gigabytes` (1e9 bytes)."""

    output: str
    seconds: float
    gigabytes: float


def run(*arguments: str, stdin: str = "") -> Run:
    """Run `uhd`, and end the program if that fails."""
    with tempfile.TemporaryFile("w+") as given:
        given.write(stdin)
        given.seek(0)
        started = time.perf_counter()
        process = subprocess.Popen([*UHD, *arguments], stdin=given, stdout=subprocess.PIPE, text=True)
        output = process.stdout.read() if process.stdout else ""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"uhd {' '.join(arguments)} ended with {process.returncode}")
    return Run(output, time.perf_counter() - started, used.ru_maxrss * 1024 / 1e9)


def draw(folder: Path) -> dict[str, Path]:
    """Draw a picture of coloured clouds for each of `SIDES`."""
    files = {}
    for name, side in SIDES.items():
        cells = np.random.default_rng(side).integers(0, 256, (side * 12 // 448,) * 2 + (3,), dtype=np.uint8)
        files[name] = folder / f"{side}.png"
        Image.fromarray(cells).resize((side, side), Image.Resampling.BICUBIC).save(files[name])
    return files


def export(checkpoint: Path, bundle: Path) -> None:
    """Export it; the largest of the processes that take part is measured."""
    done = run("export", str(checkpoint), str(bundle), "--llm-type", "q4_k_m", "--precisions", "fp32")
    size = sum(file.stat().st_size for file in bundle.rglob("*") if file.is_file()) / 1e9
    print(f"export: {done.seconds:.0f} s, {done.gigabytes:.2f} GB at most, {size:.2f} GB on the disk", flush=True)


def ask(bundle: Path, pictures: dict[str, Path], options: list[str]) -> None:
    """Ask one question about each picture."""
    for name, file in pictures.items():
        done = run("ask", str(file), QUESTION, "--bundle", str(bundle), "--json", *options)
        answer = json.loads(done.output)
        opened = sum(answer["opening_ms"].values()) / 1000
        print(f"ask, {name}: {_timed(answer)}, opened in {opened:.1f} s, {_whole(done)}", flush=True)


def _timed(answer: dict[str, Any]) -> str:
    """Seconds to the first token, tokens a second behind it, and how long the stages took."""
    times, usage = answer["timings_ms"], answer["usage"]
    rate = (usage["completion_tokens"] - 1) / (times["total"] - times["first_token"]) * 1000
    stages = ", ".join(f"{name} {times[name] / 1000:.2f}" for name in ("encoder", "prefill"))
    read = usage["prompt_tokens"] - usage["cached_tokens"]
    return f"first token {times['first_token'] / 1000:.2f} s ({stages}), {rate:.1f} tokens/s, {read} tokens read"


def _whole(done: Run) -> str:
    return f"{done.seconds:.1f} s in all, {done.gigabytes:.2f} GB"


CHAT = """
import json, sys
from uhd_edge.runtime import Assistant
bundle, picture, precision, tokens, *turns = sys.argv[1:]
with Assistant(bundle, precision=precision) as assistant, assistant.session(picture) as session:
    for question in turns:
        print(json.dumps(session.ask(question, max_tokens=int(tokens)).to_dict()), flush=True)
"""


def chat(bundle: Path, pictures: dict[str, Path], options: list[str]) -> None:
    """Three questions about the sliced picture: `uhd chat` as a whole, then its session turn by turn."""
    picture = str(pictures["ten views"])
    done = run("chat", picture, "--bundle", str(bundle), *options, stdin="\n".join(TURNS) + "\n")
    print(f"chat of three turns: {_whole(done)}", flush=True)
    precision, tokens = (options[options.index(name) + 1] for name in ("--precision", "--max-tokens"))
    command = [sys.executable, "-c", CHAT, str(bundle), picture, precision, tokens, *TURNS]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    for number, line in enumerate(lines, 1):
        print(f"  turn {number}: {_timed(json.loads(line))}", flush=True)


def serve(bundle: Path, pictures: dict[str, Path], options: list[str]) -> None:
    """Stream an answer about each picture, the second one twice, from a server on this machine."""
    precision, tokens = (options[options.index(name) + 1] for name in ("--precision", "--max-tokens"))
    command = [*UHD, "serve", "--bundle", str(bundle), "--port", "0", "--precision", precision]
    started = time.perf_counter()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            found = re.search(r"http://([\d.]+):(\d+)/v1", next(server.stderr or iter(()), ""))
            if not found:
                sys.exit("the server did not start")
            print(f"serve: listens after {time.perf_counter() - started:.1f} s", flush=True)
            for name in ("one view", "ten views", "ten views"):
                first, rate = stream(found[1], int(found[2]), pictures[name], int(tokens))
                print(f"  {name}: first token {first:.2f} s, {rate:.1f} tokens/s", flush=True)
            status = Path(f"/proc/{server.pid}/status").read_text()
            peak = int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024 / 1e9
            print(f"  peak memory of the server {peak:.2f} GB", flush=True)
        finally:
            server.terminate()


def stream(host: str, port: int, picture: Path, tokens: int) -> tuple[float, float]:
    """Ask as OpenAI's clients do; returns the seconds to the first token, and the tokens a second behind it."""
    url = f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": QUESTION}]
    message = {"role": "user", "content": content}
    body = {"messages": [message], "stream": True, "max_tokens": tokens, "temperature": 0}
    connection = http.client.HTTPConnection(host, port, timeout=600)
    started = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", json.dumps(body | {"stream_options": {"include_usage": True}}))
    response = connection.getresponse()
    if response.status != 200:
        sys.exit(response.read().decode())
    first, last, count = 0.0, 0.0, 0
    for event in events(response):
        if event.get("usage"):
            count = event["usage"]["completion_tokens"]
        elif any(choice["delta"].get("content") for choice in event.get("choices", [])):
            last = time.perf_counter() - started
            first = first or last
    return first, (count - 1) / (last - first) if last > first else math.nan  # short answers come in one piece


def events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """Yield the objects of a stream."""
    for line in response:
        text = line.decode().strip().removeprefix("data: ")
        if text and text != "[DONE]":
            yield json.loads(text)


def main() -> None:
    """Take the steps, and print what each took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--steps", default="export,ask,chat,serve")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--tokens", type=int, default=32, help="tokens of an answer")
    given = parser.parse_args()
    steps = given.steps.split(",")
    if "export" in steps and not given.bundle.exists():
        export(given.checkpoint, given.bundle)
    options = ["--precision", given.precision, "--max-tokens", str(given.tokens)]
    with tempfile.TemporaryDirectory() as folder:
        pictures = draw(Path(folder))
        for name, step in {"ask": ask, "chat": chat, "serve": serve}.items():
            if name in steps:
                step(given.bundle, pictures, options)


if __name__ == "__main__":
    main()
