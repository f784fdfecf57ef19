"""What was said and seen in a conversation."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.runtime.answer import ImageCut
from uhd_edge.runtime.conversation.encoded_images import plan_encoded
from uhd_edge.runtime.prompt.layout import layout_of_views
from uhd_edge.runtime.prompt.messages import Message, TextPart, result_messages, user_message
from uhd_edge.runtime.vision.encoder import Encoded
from uhd_edge.runtime.vision.slicing import plan_views

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from PIL import Image

    from uhd_edge.runtime.answer import ToolCall
    from uhd_edge.runtime.bundles.manifest import Preprocessing
    from uhd_edge.runtime.conversation.request import Request
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.prompt.layout import ImageLayout
    from uhd_edge.runtime.prompt.messages import ToolResult
    from uhd_edge.runtime.tools.tool_set import Tool
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

    def of_number(self, number: int) -> SeenImage:
        """The same with another number, under which it may have been seen before."""
        return replace(self, number=number)

    @property
    def layout(self) -> ImageLayout:
        """Its grid and token counts, for laying out a prompt."""
        return layout_of_views(self.encoded.grid, self.encoded.views, self.video)

    @property
    def row_ids(self) -> NDArray[np.int64]:
        """The ids of its embeddings' rows, in order."""
        return -1 - (np.arange(len(self.encoded.embeddings), dtype=np.int64) + self.number * ROWS_PER_IMAGE)


@dataclass(frozen=True, eq=False)
class NewImage:
    """An RGB image that comes with the next question, or one that was encoded before.

    The frames of a video have that video's number, and say whether they are `stacked`. `mode` is
    that of this image alone, None for the question's. `max_slices` is a limit of its own.
    """

    image: Image.Image | Encoded
    video: int | None = None
    mode: Mode | None = None
    stacked: bool = False
    max_slices: int | None = None

    def copy(self) -> NewImage:
        """Return one whose pixels nobody else can change; an encoded image has its own numbers already."""
        return self if isinstance(self.image, Encoded) else replace(self, image=self.image.copy())

    def plan_slices(self, preprocessing: Preprocessing, *, mode: Mode, max_slices: int | None) -> SlicePlan:
        """Plan how it is cut, in its own mode if it has one.

        Raises `ImageError` for one that is too thin, or was encoded in another mode.
        """
        mode = self.mode or mode
        if isinstance(self.image, Encoded):
            return plan_encoded(self.image, preprocessing, mode=mode)
        own = self.max_slices
        if own is not None:
            max_slices = min(own, preprocessing.max_slices if max_slices is None else max_slices)
        return plan_views(*self.image.size, preprocessing, mode=mode, max_slices=max_slices)


@dataclass(frozen=True)
class Turn:
    """A question that was answered, with the images that came with it.

    `results` are those of the calls of the turn before, which then take the question's place.
    """

    question: str
    answer: str
    images: tuple[SeenImage, ...] = ()
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()


@dataclass(eq=False)
class Conversation:
    """What a question follows: the turns before it, and images that wait for the next question.

    `drop_oldest` says what happens when the context is full, see `Session`. `goes_on` says
    that more questions will follow, so that the language model's memory is worth keeping.
    `encoded` has what waiting images were encoded into: a question that fails leaves it to the
    next one. `tools` are those of the question before.
    """

    turns: tuple[Turn, ...] = ()
    waiting: tuple[NewImage, ...] = ()
    drop_oldest: bool = False
    goes_on: bool = False
    encoded: dict[tuple[NewImage, SlicePlan], SeenImage] = field(default_factory=dict)
    tools: tuple[Tool, ...] = ()

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


def image_cuts(images: Sequence[SeenImage]) -> tuple[ImageCut, ...]:
    """How each image was cut; its video is counted among those of these images."""
    videos = list(dict.fromkeys(image.video for image in images))
    if None in videos:
        videos.remove(None)
    numbers = [None if image.video is None else videos.index(image.video) for image in images]
    encoded = (image.encoded for image in images)
    return tuple(ImageCut(*one.grid, one.mode, video) for one, video in zip(encoded, numbers, strict=True))


def list_messages(turns: Sequence[Turn]) -> Iterator[Message]:
    """List the messages of these turns, for the prompt of a later question."""
    for turn in turns:
        if turn.results:
            yield from result_messages(turn.results, images=len(turn.images))
        else:
            yield user_message(turn.question, images=len(turn.images))
        yield Message("assistant", (TextPart(turn.answer),), turn.thinking, turn.tool_calls)


def shortened(
    turns: tuple[Turn, ...], *, tokens: int, context: int, max_tokens: int, keep_last: bool = False
) -> tuple[Turn, ...] | None:
    """Drop one turn from a prompt of `tokens`; None when none needs to be or can be dropped.

    The oldest turn without an image is dropped until the question and its answer fit
    (`max_tokens`, but at most a quarter of the context). A turn with images is dropped, the
    oldest first, only when the prompt itself would not fit otherwise. A turn that gives the
    results of calls goes together with the one before it. `keep_last` keeps the last turn, to
    which the question gives results.
    """
    groups = _groups(turns)
    droppable = groups[:-1] if keep_last else groups
    oldest = next((group for group in droppable if not any(turns[number].images for number in group)), None)
    if tokens + min(max_tokens, context // 4) <= context:
        return None
    if oldest is None and tokens >= context and droppable:
        oldest = droppable[0]
    return None if oldest is None else (*turns[: oldest[0]], *turns[oldest[-1] + 1 :])


def _groups(turns: tuple[Turn, ...]) -> list[list[int]]:
    """The numbers of turns that belong together: a question, and the results of calls that follow it."""
    groups: list[list[int]] = []
    for number, turn in enumerate(turns):
        if turn.results and groups:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups
