"""A picture with what the model sees of it drawn over: the grid of slices, and the tokens of each view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image, ImageDraw, ImageFont

from uhd_edge.runtime.checking.counted import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.answer import EncodedView
    from uhd_edge.runtime.vision.slicing import SlicePlan

Box: TypeAlias = "tuple[int, int, int, int]"

# The longer side of what is drawn on, in pixels: a small picture is enlarged, a large one made smaller.
SMALLEST, LARGEST = 512, 2048

# Readable on any picture, and for the colour-blind: amber lines with black beside them.
LINE, BESIDE, REUSED = (255, 176, 0), (0, 0, 0), (86, 180, 233)
LABEL, TEXT, FOOT = (0, 0, 0), (255, 255, 255), (32, 32, 32)
SMALLEST_TEXT = 9


def draw_views(image: Image.Image, plan: SlicePlan, views: Sequence[EncodedView]) -> Image.Image:
    """Draw how `image` is cut: lines between the slices, tokens in each, and a foot with the thumbnail.

    `image` is RGB, `plan` the one of its size, and `views` are the plan's, thumbnail first. Slices that were not
    encoded again are hatched. Returns a new picture: `image`, scaled to `canvas_size`, with the foot below.
    """
    width, height = canvas_size(image.size)
    scaled = image.resize((width, height), Image.Resampling.NEAREST if width > image.width else plan.resample)
    foot = _foot(scaled, plan, views)
    canvas = Image.new("RGB", (max(width, foot.width), height + foot.height), FOOT)
    canvas.paste(scaled, (0, 0))
    canvas.paste(foot, (0, height))
    draw = ImageDraw.Draw(canvas)
    slices = views[1:] or views
    for view, box in zip(slices, slice_boxes((width, height), plan), strict=True):
        if view.reused:
            _hatch(canvas, box)
        _label(draw, box, view)
    _lines(draw, (width, height), plan)
    return canvas


def canvas_size(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) in pixels at which a picture of `size` is drawn, in its own shape."""
    longer = max(size)
    scale = min(max(longer, SMALLEST), LARGEST) / longer
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def slice_boxes(size: tuple[int, int], plan: SlicePlan) -> list[Box]:
    """(left, top, right, bottom) of every slice in a picture of `size`, row by row; the whole without slices."""
    rows, columns = plan.grid if plan.grid != (0, 0) else (1, 1)
    across = [round(column * size[0] / columns) for column in range(columns + 1)]
    down = [round(row * size[1] / rows) for row in range(rows + 1)]
    return [
        (across[column], down[row], across[column + 1], down[row + 1])
        for row in range(rows)
        for column in range(columns)
    ]


def _lines(draw: ImageDraw.ImageDraw, size: tuple[int, int], plan: SlicePlan) -> None:
    """Draw a line between slices, and none around the picture."""
    width, height = size
    thickness = max(2, max(size) // 400)
    for left, top, _, _ in slice_boxes(size, plan):
        for start, across in ((left, True), (top, False)):
            for colour, reach in ((BESIDE, 2 * thickness), (LINE, thickness)) if start else ():
                first, last = start - reach // 2, start + (reach + 1) // 2 - 1
                box = (first, 0, last, height - 1) if across else (0, first, width - 1, last)
                draw.rectangle(box, fill=colour)


def _label(draw: ImageDraw.ImageDraw, box: Box, view: EncodedView) -> None:
    """Write the tokens of a view into its upper left corner, as far as there is room."""
    left, top, right, bottom = box
    height = min(max(SMALLEST_TEXT, min((right - left) // 10, (bottom - top) // 5)), 40)
    font, margin = ImageFont.load_default(height), max(2, height // 3)
    words = [counted(view.tokens, "token"), str(view.tokens)]
    if view.reused:
        words.insert(0, f"{counted(view.tokens, 'token')}, reused")
    for text in words:
        x0, y0, x1, y1 = draw.textbbox((left + 2 * margin, top + 2 * margin), text, font=font)
        if x1 + 2 * margin <= right and y1 + 2 * margin <= bottom:
            draw.rectangle((x0 - margin, y0 - margin, x1 + margin, y1 + margin), fill=LABEL)
            draw.text((left + 2 * margin, top + 2 * margin), text, fill=TEXT, font=font)
            return


def _hatch(canvas: Image.Image, box: Box) -> None:
    """Draw slanting lines over a part of the picture, with dark ones beside them: one of the two is seen anywhere."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    part = canvas.crop(box)
    draw = ImageDraw.Draw(part)
    step = max(8, max(canvas.size) // 28)
    thickness = max(1, step // 12)
    for start in range(-height, width, step):
        draw.line((start - thickness, height, start - thickness + height, 0), fill=BESIDE, width=thickness)
        draw.line((start, height, start + height, 0), fill=REUSED, width=thickness)
    canvas.paste(part, (left, top))


@dataclass(frozen=True)
class _Row:
    """A line of the foot and how it is written."""

    text: str
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    top: int


def _foot(scaled: Image.Image, plan: SlicePlan, views: Sequence[EncodedView]) -> Image.Image:
    """The band below: the thumbnail as a small picture, and in words what all views are."""
    size = min(max(12, max(scaled.size) // 50), 28)
    font, margin = ImageFont.load_default(size), size // 2
    texts = describe_views(plan, views)
    rows = [_Row(text, font, margin + round(1.4 * size * number)) for number, text in enumerate(texts)]
    height = rows[-1].top + round(1.4 * size) + margin
    small = scaled.copy()
    small.thumbnail((2 * height, height - 2 * margin))
    if views[0].reused:
        _hatch(small, (0, 0, *small.size))
    left = small.width + 2 * margin
    foot = Image.new("RGB", (left + round(max(font.getlength(text) for text in texts)) + margin, height), FOOT)
    foot.paste(small, (margin, (height - small.height) // 2))
    draw = ImageDraw.Draw(foot)
    for row in rows:
        draw.text((left, row.top), row.text, fill=TEXT, font=row.font)
    return foot


def describe_views(plan: SlicePlan, views: Sequence[EncodedView]) -> list[str]:
    """Say in a few lines what the views of a picture are: sizes are width x height in pixels."""
    thumbnail, *slices = views
    (height, width), (rows, columns) = plan.thumbnail, plan.grid
    lines = [f"{'thumbnail' if slices else 'one view'} {width}x{height}: {_tokens(thumbnail)}"]
    if slices:
        height, width = plan.slice_size
        lines.append(f"{rows} x {columns} slices of {width}x{height}: {counted(slices[0].tokens, 'token')} each")
    reused = sum(view.reused for view in views)
    known = f", {reused} of {counted(len(views), 'view')} reused (hatched)" if reused else ""
    total = f"{plan.mode}: {counted(sum(view.tokens for view in views), 'token')}{known}"
    return [f"{plan.image_size[0]}x{plan.image_size[1]} pixels, {total}", *lines]


def _tokens(view: EncodedView) -> str:
    return f"{counted(view.tokens, 'token')}{', reused' if view.reused else ''}"
