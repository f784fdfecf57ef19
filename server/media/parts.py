"""An image or a video of a request, before it is fetched and decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from uhd_edge.runtime.images.video import MAX_FRAMES

if TYPE_CHECKING:
    from uhd_edge.runtime.modes import Mode


@dataclass(frozen=True)
class MediaPart:
    """An image at the one URL of `urls`, a video there, or with several of them the frames of a video.

    `detail` "low" shows an image's thumbnail alone. An image of more than `max_pixels` pixels is made
    smaller before it is looked at, one of less than `min_pixels` larger. `mode` is its own. Of a video
    at most `max_frames` frames are looked at, and `fps` of each second. `place` is where its URL or
    the list of its frames stands in the chat completion, for errors.
    """

    kind: Literal["image", "video", "frames"]
    urls: tuple[str, ...]
    detail: str | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    mode: Mode | None = None
    max_frames: int | None = None
    fps: float | None = None
    place: str = "messages"

    @property
    def places(self) -> list[int]:
        """Which of its URLs are looked at: of too many frames, so many evenly, the first and the last among them."""
        most = min(self.max_frames or MAX_FRAMES, MAX_FRAMES)
        places: list[int] = np.linspace(0, len(self.urls) - 1, min(len(self.urls), most), dtype=int).tolist()
        return places

    @property
    def noun(self) -> str:
        """What each of its URLs is of."""
        return {"image": "image", "video": "video", "frames": "frame"}[self.kind]

    @property
    def code(self) -> str:
        """The error's code for one that cannot be used."""
        return "invalid_image" if self.kind == "image" else "invalid_video"
