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

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from uhd_edge.runtime.errors import PromptError
from uhd_edge.runtime.prompt.template import render_chat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from uhd_edge.runtime.bundles.manifest import Prompt, SpecialTokens
    from uhd_edge.runtime.llm.chunks import PromptChunk
    from uhd_edge.runtime.llm.vocabulary import Vocabulary
    from uhd_edge.runtime.vision.encoder import Encoded


@dataclass(frozen=True)
class TextPart:
    """Words in a message."""

    text: str


@dataclass(frozen=True)
class ImagePart:
    """The place of the next image in a message; images are counted through the whole conversation."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[TextPart | ImagePart, ...]


@dataclass(frozen=True)
class ImageLayout:
    """What the prompt must know of an image: `grid` (rows, columns) of its slices and `tokens` per view.

    A frame of a video has the number of its video, which the frame after it shares.
    """

    grid: tuple[int, int]
    tokens: tuple[int, ...]
    video: int | None = None


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
    """A prompt as token ids, with a slot in place of every view."""

    parts: tuple[list[int] | ImageSlot, ...]

    @property
    def size(self) -> PromptSize:
        """Count its tokens."""
        vision = sum(part.tokens for part in self.parts if isinstance(part, ImageSlot))
        return PromptSize(vision, sum(len(part) for part in self.parts if isinstance(part, list)))


def user_message(question: str, *, images: int) -> Message:
    """Return a user's turn: all images, then the question. Raises `PromptError` when the question is blank."""
    if not question.strip():
        raise PromptError("the question is empty; ask something")
    return Message("user", (*[ImagePart()] * images, TextPart(question)))


def build_prompt(
    messages: Sequence[Message], images: Sequence[Encoded], prompt: Prompt, vocabulary: Vocabulary
) -> list[PromptChunk]:
    """Make the whole prompt, ready for `LanguageModel.prefill`; raises `PromptError` as `write_prompt` does."""
    layouts = [ImageLayout(image.grid, tuple(view.tokens for view in image.views)) for image in images]
    layout = lay_out_prompt(messages, layouts, prompt, vocabulary)
    return fill_slots(layout, [image.embeddings for image in images])


def lay_out_prompt(
    messages: Sequence[Message], images: Sequence[ImageLayout], prompt: Prompt, vocabulary: Vocabulary
) -> PromptLayout:
    """Lay out the prompt before its images are encoded; raises `PromptError` as `write_prompt` does."""
    written = write_prompt(messages, images, prompt)
    return PromptLayout(tuple(vocabulary.tokenize(part) if isinstance(part, str) else part for part in written))


def write_prompt(messages: Sequence[Message], images: Sequence[ImageLayout], prompt: Prompt) -> list[str | ImageSlot]:
    """Write the prompt as text, with a slot in place of every view.

    Raises `PromptError` when the places for images and the images differ in number, when the
    text contains the image placeholder, and when the template refuses the conversation.
    """
    _check(messages, images, prompt.tokens)
    conversation = [_as_template_message(message, prompt) for message in messages]
    texts = render_chat(conversation, prompt).split(prompt.tokens.image)
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


def _check(messages: Sequence[Message], images: Sequence[ImageLayout], tokens: SpecialTokens) -> None:
    places = sum(isinstance(part, ImagePart) for message in messages for part in message.parts)
    if places != len(images):
        raise PromptError(f"the conversation has {places} places for images, but {len(images)} images were given")
    for part in (part for message in messages for part in message.parts if isinstance(part, TextPart)):
        if tokens.image in part.text:
            raise PromptError(
                f"the text contains {tokens.image}, which stands for an image; leave it out and give the image itself"
            )
        if any("\ud800" <= character <= "\udfff" for character in part.text):
            raise PromptError("the text is not valid Unicode (it has half of a surrogate pair); give it as UTF-8")


def _as_template_message(message: Message, prompt: Prompt) -> dict[str, object]:
    content = [
        {"type": "text", "text": _normalized(part.text, prompt)} if isinstance(part, TextPart) else {"type": "image"}
        for part in message.parts
    ]
    return {"role": message.role, "content": content}


def _normalized(text: str, prompt: Prompt) -> str:
    """Bring text into the tokenizer's Unicode form, before special tokens stand next to it."""
    return text if prompt.normalization is None else unicodedata.normalize(prompt.normalization, text)


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
