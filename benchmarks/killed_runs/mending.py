"""Whether what a killed run leaves is usable, named, and mended by the next run."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from killing import EXAMPLES, Command, Whole, contents, counted

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.bundles.bundle import MANIFEST, Bundle
from uhd_edge.runtime.bundles.update import abandoned_in, interrupted

PICTURE, QUESTION = EXAMPLES / "bench.png", "What is the code on the white star?"


def check(command: Command, folder: Path, whole: Whole) -> Iterator[str]:
    """Yield what is wrong after a run was killed in `folder`; runs the command again."""
    bundle = folder / "bundle"
    yield from _unusable(bundle)
    hidden = [name for name in contents(folder) if any(part.startswith(".") for part in Path(name).parts)]
    left = [*(path for path, _ in abandoned_in(bundle)), *interrupted(bundle)]
    named = [str(path.relative_to(folder)) for path in left]
    if command.result == "bundle":
        unnamed = [name for name in hidden if not any(name.startswith(one) for one in named)]
        yield from (f"inspect does not name {name}" for name in unnamed)
    ended = not command.repeated and is_ended(folder, whole)
    said = ""
    if not ended or hidden:
        done = subprocess.run(counted(command, folder, -1), capture_output=True, text=True, check=False)
        said = done.stderr
        if done.returncode and not ended:
            yield f"the next run failed: {said.strip().splitlines()[-1:]}"
    mended = ("left by a run that was killed", "taken over", "going on with")
    if hidden and not ended and not any(words in said for words in mended):
        yield f"the next run does not say that it removed {hidden[0]}, or goes on with it"
    if not ended or not hidden:
        yield from _differences(contents(folder), whole.after)
    if list(folder.glob("**/.*")):
        yield f"left behind: {sorted(folder.glob('**/.*'))[0]}"
    yield from _unusable(bundle)


def is_ended(folder: Path, whole: Whole) -> bool:
    """Whether the killed run had made its result."""
    manifest = "bundle/" + MANIFEST
    found = contents(folder)
    return {name: found.get(name) for name in (manifest, "kit.tar.gz")} == {
        name: whole.after.get(name) for name in (manifest, "kit.tar.gz")
    }


def _unusable(bundle: Path) -> Iterator[str]:
    try:
        opened = Bundle.open(bundle)
        opened.check_files()
        with Assistant(opened, engine="onnxruntime", precision="fp32") as assistant:
            answer = assistant.ask(PICTURE, QUESTION, max_tokens=8).text
    except Exception as error:
        yield f"the bundle does not answer: {error}"
        return
    if not answer:
        yield "the bundle answers with nothing"


def _differences(found: dict[str, str], expected: dict[str, str]) -> Iterator[str]:
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            state = "is missing" if name not in found else "is left" if name not in expected else "differs"
            yield f"{name} {state}"
