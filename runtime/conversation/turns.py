"""What was said and seen in a conversation."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.runtime.conversation.encoded_images import plan_encoded
from uhd_edge.runtime.prompt.layout import ImageLayout, Message, TextPart, user_message
from uhd_edge.runtime.vision.encoder import Encoded
from uhd_edge.runtime.vision.slicing import plan_views

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from PIL import Image

    from uhd_edge.runtime.bundles.manifest import Preprocessing
    from uhd_edge.runtime.conversation.request import Request
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.vision.slicing import SlicePlan

# Far more rows than an image can have, so that no two images share a row id.
ROWS_PER_IMAGE = 2**32

_numbers = itertools.count()


@dataclass(frozen=True, eq=False)
class SeenImage:
    """An encoded image; its rows have unique ids int64 [n], all below zero.

    The frames of a video have the number of that video, other images None.
    """

    encoded: Encoded
    video: int | None = None
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def layout(self) -> ImageLayout:
        """Its grid and token counts, for laying out a prompt."""
        return ImageLayout(self.encoded.grid, tuple(view.tokens for view in self.encoded.views), self.video)

    @property
    def row_ids(self) -> NDArray[np.int64]:
        """The ids of its embeddings' rows, in order."""
        return -1 - (np.arange(len(self.encoded.embeddings), dtype=np.int64) + self.number * ROWS_PER_IMAGE)


@dataclass(frozen=True, eq=False)
class NewImage:
    """An RGB image that comes with the next question, or one that was encoded before.

    The frames of a video have that video's number.
    """

    image: Image.Image | Encoded
    video: int | None = None

    def copy(self) -> NewImage:
        """Return one whose pixels nobody else can change; an encoded image has its own numbers already."""
        return self if isinstance(self.image, Encoded) else replace(self, image=self.image.copy())

    def plan_slices(self, preprocessing: Preprocessing, *, mode: Mode, max_slices: int | None) -> SlicePlan:
        """Plan how it is cut; raises `ImageError` for one that is too thin, or was encoded in another mode."""
        if isinstance(self.image, Encoded):
            return plan_encoded(self.image, preprocessing, mode=mode)
        return plan_views(*self.image.size, preprocessing, mode=mode, max_slices=max_slices)


@dataclass(frozen=True)
class Turn:
    """A question that was answered, with the images that came with it."""

    question: str
    answer: str
    images: tuple[SeenImage, ...] = ()


@dataclass(eq=False)
class Conversation:
    """What a question follows: the turns before it, and images that wait for the next question.

    `drop_oldest` says what happens when the context is full, see `Session`. `goes_on` says
    that more questions will follow, so that the language model's memory is worth keeping.
    `encoded` has what waiting images were encoded into: a question that fails leaves it to the
    next one.
    """

    turns: tuple[Turn, ...] = ()
    waiting: tuple[NewImage, ...] = ()
    drop_oldest: bool = False
    goes_on: bool = False
    encoded: dict[tuple[NewImage, SlicePlan], SeenImage] = field(default_factory=dict)

    def continue_with(self, turns: tuple[Turn, ...]) -> None:
        """Continue with these turns; the waiting images are now part of them."""
        self.turns, self.waiting, self.encoded = turns, (), {}


@dataclass(frozen=True, eq=False)
class Question:
    """A request at the end of a conversation, with the decoded images that come with it."""

    request: Request
    images: Sequence[NewImage]
    conversation: Conversation

    def plan_slices(self, preprocessing: Preprocessing) -> list[SlicePlan]:
        """Plan how each image is cut in the request's mode; raises what `NewImage.plan_slices` raises."""
        mode, max_slices = self.request.mode, self.request.max_slices
        return [image.plan_slices(preprocessing, mode=mode, max_slices=max_slices) for image in self.images]


def list_messages(turns: Sequence[Turn]) -> Iterator[Message]:
    """List the messages of these turns, for the prompt of a later question."""
    for turn in turns:
        yield user_message(turn.question, images=len(turn.images))
        yield Message("assistant", (TextPart(turn.answer),))


def shortened(turns: tuple[Turn, ...], *, tokens: int, context: int, max_tokens: int) -> tuple[Turn, ...] | None:
    """Drop one turn from a prompt of `tokens`; None when none needs to be or can be dropped.

    The oldest turn without an image is dropped until the question and its answer fit
    (`max_tokens`, but at most a quarter of the context). A turn with images is dropped, the
    oldest first, only when the prompt itself would not fit otherwise.
    """
    oldest = next((number for number, turn in enumerate(turns) if not turn.images), None)
    if tokens + min(max_tokens, context // 4) <= context:
        return None
    if oldest is None and tokens >= context and turns:
        oldest = 0
    return None if oldest is None else (*turns[:oldest], *turns[oldest + 1 :])
