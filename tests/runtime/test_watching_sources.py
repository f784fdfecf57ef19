"""Watching what is named in place of frames, and frames that look alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from support.conversations.event_loops import run
from support.images.videos import write_video
from support.places import EXAMPLES

from uhd_edge.runtime import AsyncAssistant
from uhd_edge.runtime.errors import OptionError

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = np.asarray(Image.open(EXAMPLES / "bench.png").convert("RGB"))
QUESTION = "Describe the scene."


def test_the_path_of_a_video_is_played_and_frames_that_look_alike_are_skipped(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mp4", [PICTURE] * 3)

    async def test() -> None:
        async with AsyncAssistant(threads=1) as assistant:
            watched = assistant.watch(tmp_path / "film.mp4", QUESTION, on_change=20.0, max_tokens=1)
            seen = [answered async for answered in watched]
            assert len(seen) == 1

    run(test())


def test_a_change_without_sense_is_refused() -> None:
    async def test() -> None:
        async with AsyncAssistant(threads=1) as assistant:
            with pytest.raises(OptionError, match="on_change"):
                await anext(assistant.watch(iter([PICTURE]), QUESTION, on_change=300.0))

    run(test())
