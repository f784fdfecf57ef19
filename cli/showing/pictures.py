"""The pictures of a plan or of an answer, drawn over, and shown in the terminal or written to files."""

from __future__ import annotations

import io
import itertools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from PIL import Image

from uhd_edge.cli.showing.escapes import kitty_escapes, sixel_escapes
from uhd_edge.cli.showing.overlay import draw_views
from uhd_edge.cli.showing.terminal import find_graphics, pixel_width
from uhd_edge.runtime.answer import EncodedView
from uhd_edge.runtime.errors import OutputError
from uhd_edge.runtime.images.loading import load_image
from uhd_edge.runtime.images.video import Video
from uhd_edge.runtime.prompt.room import image_layout
from uhd_edge.runtime.vision.slicing import plan_views

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.conversation.encoded_images import QuestionImage
    from uhd_edge.runtime.images.loading import ImageInput
    from uhd_edge.runtime.modes import Mode


def draw_plan(image: ImageInput, manifest: Manifest, *, mode: Mode, max_slices: int | None) -> Image.Image:
    """Draw how an image would be cut, with the tokens that each view would have; raises `ImageError`."""
    rgb = load_image(image)
    plan = plan_views(*rgb.size, manifest.preprocessing, mode=mode, max_slices=max_slices)
    tokens = image_layout(plan, manifest.vision).tokens
    views = [EncodedView(*size, count) for size, count in zip(plan.views, tokens, strict=True)]
    return draw_views(rgb, plan, views)


def draw_answer(
    images: Sequence[QuestionImage], answer: Answer, manifest: Manifest, *, max_slices: int | None
) -> Iterator[Image.Image]:
    """Draw how each image of an answered question was looked at; `max_slices` are those of the question."""
    if answer.plan is not None:
        max_slices = answer.plan.max_slices
    views = iter(answer.views)
    for source in images:
        image, mode = source if isinstance(source, tuple) else (source, answer.mode)
        rgb = load_image(image)  # type: ignore[arg-type]  # `show_answer` lets no video come here
        plan = plan_views(*rgb.size, manifest.preprocessing, mode=mode, max_slices=max_slices)
        yield draw_views(rgb, plan, list(itertools.islice(views, len(plan.views))))


def show_answer(
    names: Sequence[str],
    images: Sequence[QuestionImage],
    answer: Answer,
    manifest: Manifest,
    *,
    max_slices: int | None,
) -> None:
    """Show the images of an answered question in the terminal at standard error, or write and name a file for each."""
    media = [image[0] if isinstance(image, tuple) else image for image in images]
    if any(isinstance(one, Video) for one in media):
        click.echo("uhd: --show draws images; of a video every frame is one view", err=True)
        return
    drawn = draw_answer(images, answer, manifest, max_slices=max_slices)
    graphics = find_graphics(sys.stderr.fileno(), os.environ) if sys.stderr.isatty() else None
    for name, picture in zip(names, drawn, strict=True):
        if graphics is None:
            click.echo(f"uhd: {name} as the model saw it: {write_beside(name, picture)}", err=True)
            continue
        picture.thumbnail((pixel_width(sys.stderr.fileno()), picture.height))
        sys.stderr.flush()
        sys.stderr.buffer.write(kitty_escapes(picture) if graphics == "kitty" else sixel_escapes(picture))
        sys.stderr.buffer.flush()


def write_picture(picture: Image.Image, file: Path) -> None:
    """Write a picture, all or nothing, in the format of its suffix; raises `OutputError`."""
    data = _encoded(picture, file)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        try:
            unfinished.write_bytes(data)
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(file, error) from error


def write_beside(name: str, picture: Image.Image) -> Path:
    """Write `NAME-views.png` in the current folder, numbered where that is taken, and return its name."""
    stem = "picture" if name == "-" else Path(name).stem
    names = itertools.chain([f"{stem}-views.png"], (f"{stem}-views-{number}.png" for number in itertools.count(2)))
    file = next(file for file in map(Path, names) if not os.path.lexists(file))
    write_picture(picture, file)
    return file


def _encoded(picture: Image.Image, file: Path) -> bytes:
    data = io.BytesIO()
    picture.save(data, require_format(file))
    return data.getvalue()


def require_format(file: Path) -> str:
    """The format of a picture's file by its suffix; raises `OutputError` for one that holds no pictures."""
    formats = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
    if file.suffix.lower() not in formats:
        raise OutputError(f"{file}: a picture is written as .png, .jpg or .webp; choose such a name")
    return formats[file.suffix.lower()]


def _unwritable(file: Path, error: OSError) -> OutputError:
    return OutputError(f"{file}: cannot be written ({error.strerror}); choose another name or folder")
