"""A conversation and its images become a prompt: token ids, and slots for the embeddings in between.

The layout is that of transformers' `MiniCPMV4_6Processor`: for every image its number in the
conversation, the thumbnail, then the slices, a row of the grid per line:

    <image_id>0</image_id><image>..</image><slice>..</slice><slice>..</slice>
    <slice>..</slice><slice>..</slice>

The frames of a video stand one after the other, without numbers:

    <image>..</image><image>..</image><image>..</image>

Text and embeddings meet only at special tokens, so tokenizing each text on its own gives the
ids of the whole prompt.

Special tokens that a user writes into a question, such as `<|im_end|>`, count as special
tokens, as in the reference. Clean untrusted text before it goes into a question. Only the
image placeholder is refused, since it would claim an image that is not there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.runtime.errors import PromptError
from uhd_edge.runtime.prompt.messages import as_template_message, check_messages, normalized, split_beginning
from uhd_edge.runtime.prompt.template import AS_BY_DEFAULT, TemplateOptions, render_chat
from uhd_edge.runtime.prompt.thinking import EMPTY_THOUGHTS_END, ends_in_thoughts, require_thinking
from uhd_edge.runtime.tools.call_format import find_call_format

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from uhd_edge.runtime.answer import EncodedView
    from uhd_edge.runtime.bundles.manifest import Prompt, SpecialTokens
    from uhd_edge.runtime.llm.batch import Positions
    from uhd_edge.runtime.llm.chunks import PromptChunk
    from uhd_edge.runtime.llm.vocabulary import Vocabulary
    from uhd_edge.runtime.prompt.messages import Message
    from uhd_edge.runtime.vision.encoder import Encoded


NO_TOKEN = -1  # stands where a view has its embeddings


@dataclass(frozen=True)
class ImageLayout:
    """What the prompt must know of an image: `grid` (rows, columns) of its slices and `tokens` per view.

    `shapes` are the (rows, columns) of each view's embeddings, for positions on a canvas; without
    them a view counts as one row. A frame of a video has the number of its video, which the frame
    after it shares.
    """

    grid: tuple[int, int]
    tokens: tuple[int, ...]
    video: int | None = None
    shapes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class ImageSlot:
    """The place of one view: rows `start` to `start + tokens` of the embeddings of image `image`."""

    image: int
    start: int
    tokens: int


@dataclass(frozen=True)
class PromptSize:
    """Tokens of a prompt."""

    vision: int
    text: int

    @property
    def total(self) -> int:
        """Vision and text together."""
        return self.vision + self.text


@dataclass(frozen=True)
class PromptLayout:
    """A prompt as token ids, with a slot in place of every view.

    `ends_in_thoughts` says whether the model's thoughts begin at its end. `positions` are those on
    canvases, None where a token's position is its number.
    """

    parts: tuple[list[int] | ImageSlot, ...]
    ends_in_thoughts: bool = False
    positions: Positions | None = None

    @property
    def size(self) -> PromptSize:
        """Count its tokens."""
        vision = sum(part.tokens for part in self.parts if isinstance(part, ImageSlot))
        return PromptSize(vision, sum(len(part) for part in self.parts if isinstance(part, list)))


def build_prompt(
    messages: Sequence[Message], images: Sequence[Encoded], prompt: Prompt, vocabulary: Vocabulary
) -> list[PromptChunk]:
    """Make the whole prompt, ready for `LanguageModel.prefill`; raises `PromptError` as `write_prompt` does."""
    layouts = [layout_of_views(image.grid, image.views) for image in images]
    layout = lay_out_prompt(messages, layouts, prompt, vocabulary)
    return fill_slots(layout, [image.embeddings for image in images])


def lay_out_prompt(
    messages: Sequence[Message],
    images: Sequence[ImageLayout],
    prompt: Prompt,
    vocabulary: Vocabulary,
    options: TemplateOptions = AS_BY_DEFAULT,
) -> PromptLayout:
    """Lay out the prompt before its images are encoded; raises what `write_prompt` raises."""
    written = write_prompt(messages, images, prompt, options)
    parts = tuple(vocabulary.tokenize(part) if isinstance(part, str) else part for part in written)
    in_thoughts = any(isinstance(part, str) and ends_in_thoughts(part) for part in written[-1:])
    positions = _place(parts, images, prompt.tokens, vocabulary) if prompt.canvas else None
    return PromptLayout(parts, in_thoughts, positions)


def layout_of_views(grid: tuple[int, int], views: Sequence[EncodedView], video: int | None = None) -> ImageLayout:
    """Return the layout of an image that has been encoded into `views`."""
    sides = [math.isqrt(view.rows * view.columns // view.tokens) for view in views]
    shapes = tuple((view.rows // side, view.columns // side) for view, side in zip(views, sides, strict=True))
    return ImageLayout(grid, tuple(view.tokens for view in views), video, shapes)


def _place(
    parts: Sequence[list[int] | ImageSlot], images: Sequence[ImageLayout], tokens: SpecialTokens, vocabulary: Vocabulary
) -> Positions:
    """Place every token of a prompt on the canvases of its images."""
    from uhd_edge.runtime.prompt.canvas import Crop, find_markers, place_on_canvas  # which most models do without

    ids: list[int] = []
    crops: list[Crop] = []
    begun = [0] * len(images)  # views of each image so far
    for part in parts:
        if isinstance(part, ImageSlot):
            shape = (images[part.image].shapes or ((1, part.tokens),) * (begun[part.image] + 1))[begun[part.image]]
            begun[part.image] += 1
            crops.append(Crop(len(ids), len(ids) + part.tokens, shape))
            ids += [NO_TOKEN] * part.tokens
        else:
            ids += part
    return place_on_canvas(np.array(ids, np.int64), crops, find_markers(tokens, vocabulary))


def write_prompt(
    messages: Sequence[Message],
    images: Sequence[ImageLayout],
    prompt: Prompt,
    options: TemplateOptions = AS_BY_DEFAULT,
) -> list[str | ImageSlot]:
    """Write the prompt as text, with a slot in place of every view.

    An assistant's message at the end is the beginning of the answer, without thoughts.

    Raises `PromptError` when the places for images and the images differ in number, when the
    text contains the image placeholder, and when the template refuses the conversation. Raises
    `OptionError` for options that the template does not know.
    """
    check_messages(messages, prompt, images=len(images))
    messages, beginning = split_beginning(messages)
    conversation = [as_template_message(message, prompt) for message in messages]
    if options.tools:
        find_call_format(prompt.chat_template)
    rendered = render_chat(conversation, prompt, options)
    require_thinking(rendered, prompt, options.think)
    if beginning:
        rendered += (EMPTY_THOUGHTS_END if ends_in_thoughts(rendered) else "") + normalized(beginning, prompt)
    texts = rendered.split(prompt.tokens.image)
    if len(texts) != len(images) + 1:
        raise PromptError(
            f"the checkpoint's chat template wrote {len(texts) - 1} image placeholders for {len(images)} images"
        )
    parts: list[str | ImageSlot] = [texts[0]]
    for index, (image, text) in enumerate(zip(images, texts[1:], strict=True)):
        if prompt.use_image_id and image.video is None:
            number = sum(before.video is None for before in images[:index])
            parts.append(f"{prompt.tokens.image_id_start}{number}{prompt.tokens.image_id_end}")
        parts += _image_parts(index, image, prompt.tokens)
        if not _goes_on(images, index):
            parts.append(text)
    return list(_joined(parts))


def fill_slots(layout: PromptLayout, embeddings: Sequence[NDArray[np.float32]]) -> list[PromptChunk]:
    """Put the embeddings float32 [n, d_llm] of every image into its slots."""
    return [
        embeddings[part.image][part.start : part.start + part.tokens] if isinstance(part, ImageSlot) else part
        for part in layout.parts
    ]


def _goes_on(images: Sequence[ImageLayout], index: int) -> bool:
    """Whether the next image is another frame of the same video, which has one place in the reference's template."""
    return (
        index + 1 < len(images) and images[index].video is not None and images[index].video == images[index + 1].video
    )


def _image_parts(index: int, image: ImageLayout, tokens: SpecialTokens) -> Iterator[str | ImageSlot]:
    start = 0
    for number, count in enumerate(image.tokens):
        is_thumbnail = number == 0
        if not is_thumbnail and number > 1 and (number - 1) % image.grid[1] == 0:
            yield "\n"
        yield tokens.image_start if is_thumbnail else tokens.slice_start
        yield ImageSlot(index, start, count)
        yield tokens.image_end if is_thumbnail else tokens.slice_end
        start += count


def _joined(parts: Sequence[str | ImageSlot]) -> Iterator[str | ImageSlot]:
    """Join neighbouring strings, so that the tokenizer sees them together."""
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
            continue
        if text:
            yield text
        text = ""
        yield part
    if text:
        yield text
