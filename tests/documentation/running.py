"""Run the code blocks of a page: commands in a shell, Python in one program."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from documentation.pages import Block, Command, blocks_of, commands_of, differs
from PIL import Image
from support.places import EXAMPLES

from uhd_edge.runtime.bundles.bundle import Bundle

SECONDS = 120  # after which a command hangs
PORT = "8000"
MODELS = "models"  # the folder of the models that were pulled


def make_stand_ins(folder: Path) -> None:
    """Fill `folder` with what the pages name: the examples, photos, a video, and a bundle called minicpm/.

    The bundle is there as a model that was pulled, too.
    """
    shutil.copytree(EXAMPLES, folder / "examples")
    shutil.copy(EXAMPLES / "sliced.jpg", folder / "photo.jpg")
    (folder / "photos").mkdir()
    for photo in ("bench.png", "wide.png"):
        shutil.copy(EXAMPLES / photo, folder / "photos" / photo)
    shutil.copytree(Bundle.open().path, folder / "minicpm")
    manifest = folder / "minicpm" / "bundle.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "name": "MiniCPM-V-4.6"}))
    shutil.copytree(folder / "minicpm", folder / MODELS / "minicpm-v-4.6")
    _write_video(folder / "clip.mp4", EXAMPLES / "bench.png", seconds=3)


def _write_video(file: Path, picture: Path, *, seconds: int) -> None:
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    with av.open(str(file), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=1)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = "yuv420p"
        for _ in range(seconds):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


@dataclass
class RunningPage:
    """What the blocks of a page share: a folder, the names of its Python program, and what keeps running.

    `printed` is what the last Python block printed.
    """

    folder: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})
    printed: str = ""
    until_the_end: ExitStack = field(default_factory=ExitStack)

    def run(self, block: Block) -> None:
        """Run one block; raises `AssertionError` when it fails or prints something else than the page shows."""
        if block.language == "python":
            self._run_python(block)
        elif block.language == "console":
            for command in commands_of(block.text):
                self._run_command(block, command)
        elif "output" in block.marks:
            shown = block.text.splitlines()
            _compare(block, "the Python above", shown, self.printed)

    def _run_python(self, block: Block) -> None:
        code = compile("\n" * (block.line - 1) + block.text, str(block.page), "exec", dont_inherit=True)
        if block.unmet_need:
            return
        with redirect_stdout(io.StringIO()) as printed:
            exec(code, self.names)
        self.printed = printed.getvalue()

    def _run_command(self, block: Block, command: Command) -> None:
        if block.unmet_need or ("run by CI" in block.marks and command.line.startswith(("make ", ".venv/bin/pytest "))):
            return
        if "keeps running" in block.marks:
            self._start(block, command)
            return
        done = subprocess.run(
            ["bash", "-c", command.line],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{block.place}: {command.line}\nexit code {done.returncode}\n{done.stdout}"
        if command.output:
            _compare(block, command.line, command.output, done.stdout)

    def _start(self, block: Block, command: Command) -> None:
        """Leave a command running once it has printed what the page shows."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command.line}"],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        self.until_the_end.enter_context(process)
        self.until_the_end.callback(process.terminate)
        hanging = threading.Timer(SECONDS, process.kill)
        hanging.start()
        self.until_the_end.callback(hanging.cancel)
        printed = ""
        for line in process.stdout:
            printed += line
            if not differs(command.output, printed, numbers_vary=False):
                return
        _compare(block, command.line, command.output, printed)


def run_page(page: Path, folder: Path) -> None:
    """Run every block of a page in `folder`, in order."""
    port = _free_port()
    running = RunningPage(folder)
    with running.until_the_end:
        for block in blocks_of(page):
            running.run(replace(block, text=re.sub(rf"\b{PORT}\b", port, block.text)))


def environment() -> dict[str, str]:
    """What the commands of a page need in their environment: this Python and its `uhd` first on the PATH."""
    programs = str(Path(sys.executable).parent)
    return {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100", "UHD_MODELS": MODELS}


def _compare(block: Block, what: str, shown: list[str] | tuple[str, ...], printed: str) -> None:
    if differs(shown, printed, numbers_vary="numbers vary" in block.marks):
        page = "\n".join(shown)
        raise AssertionError(f"{block.place}: {what}\nthe page shows\n{page}\nbut it printed\n{printed}")


def _free_port() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return str(listening.getsockname()[1])
