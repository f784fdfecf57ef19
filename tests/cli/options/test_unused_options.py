"""Options that count for nothing are told in a line; thinking is switched on only where there is any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from support.agents.templates import AGENT_TEMPLATE
from support.answering_bundle import bundle_of, save
from support.images.videos import make_video
from support.places import EXAMPLES

from uhd_edge.cli.main import Invocation, uhd
from uhd_edge.runtime.bundles.bundle import Bundle

if TYPE_CHECKING:
    from pathlib import Path

BENCH = str(EXAMPLES / "bench.png")
CANNOT = "uhd: --think-tokens has no effect, because this model cannot think\n"
DOES_NOT = "uhd: --think-tokens has no effect, because this model does not think unless it is asked to; add --think\n"
DEFAULT_ON = "{%- set enable_thinking = enable_thinking if enable_thinking is defined else true -%}\n"


def run(*arguments: str, lines: str = "") -> Result:
    options = ("--max-tokens", "2") if arguments[0] != "eval" else ()
    return CliRunner().invoke(uhd, [*arguments, *options], input=lines, obj=Invocation())


@pytest.fixture(scope="module", params=["", DEFAULT_ON], ids=["off by default", "on by default"])
def thinking(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bool]:
    """A bundle whose model can think, and whether it does by default."""
    bundle = bundle_of(tmp_path_factory.mktemp("bundles") / "bundle")
    prompt = bundle.manifest.prompt.model_copy(update={"chat_template": request.param + AGENT_TEMPLATE})
    save(Bundle(bundle.path, bundle.manifest.model_copy(update={"prompt": prompt})))
    return str(bundle.path), bool(request.param)


def test_a_bound_on_thoughts_is_told_where_there_are_none(thinking: tuple[str, bool]) -> None:
    bundle, by_default = thinking
    ask = ("ask", BENCH, "Why?", "--max-slices", "1")
    assert run(*ask, "--think-tokens", "9").stderr == CANNOT
    assert run(*ask).stderr == ""
    ask = (*ask, "--bundle", bundle)
    assert run(*ask, "--think-tokens", "9").stderr.endswith(DOES_NOT) != by_default
    assert DOES_NOT not in run(*ask, "--think-tokens", "9", "--think").stderr
    assert run(*ask, "--think-tokens", "9", "--no-think").stderr == DOES_NOT


def test_other_commands_tell_it_too(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes((EXAMPLES / "bench.png").read_bytes())
    clip = make_video(tmp_path / "clip.mp4", 2)
    batch = ("batch", str(tmp_path), "-q", "Why?", "-o", str(tmp_path / "rows.jsonl"))
    for command in (batch, ("watch", str(clip), "Why?", "--count", "1"), ("chat", BENCH)):
        assert CANNOT in run(*command, "--think-tokens", "9").stderr
        assert CANNOT not in run(*command).stderr


def test_in_a_chat_thinking_is_switched_from_what_the_template_does(thinking: tuple[str, bool]) -> None:
    bundle, by_default = thinking
    told = run(
        "chat", "--bundle", bundle, "--think-tokens", "9", lines="/think\n/think\n/think on\n/think on\n/think off\n"
    )
    on, off = "uhd: thinking is on\n", "uhd: thinking is off\n"
    assert told.stderr == (off + on if by_default else on + off) + on + on + off
    assert told.exit_code == 0


def test_stacked_frames_are_told_where_no_image_is_a_video(tmp_path: Path) -> None:
    clip = str(make_video(tmp_path / "clip.mp4", 6))
    told = "uhd: --stack-frames has no effect, because none of the images is a video\n"
    assert run("ask", f"{BENCH}@16x", "Why?", "--stack-frames", "3").stderr == told
    assert run("ask", BENCH, clip, "Why?", "--stack-frames", "3").stderr == ""
    assert run("ask", BENCH, "Why?", "--stack-frames", "1").stderr == ""
    assert run("chat", BENCH, "--stack-frames", "3").stderr == told.replace("effect", "effect yet")
