"""Draws the picture of a scene."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from uhd_edge.tiny.world.scenes import NO_SHAPE, Object, Scene, glyph_advance, load_font

DARK, LIGHT = (10, 10, 10), (245, 245, 245)
LIGHT_BACKGROUND = 120  # on a background with a mean above this, codes are dark


def draw_picture(scene: Scene, noise: Callable[[Scene], np.ndarray] | None = None) -> Image.Image:
    """The RGB picture of a scene, `scene.width` x `scene.height` pixels.

    `noise` gives the noise of a scene, float32 [H, W, 3] of deviation 1; by default it is drawn
    with the scene's `noise_seed`.
    """
    pixels = _background(scene)
    ink = DARK if pixels.mean() > LIGHT_BACKGROUND else LIGHT
    picture = Image.fromarray(pixels.astype(np.uint8))
    canvas = ImageDraw.Draw(picture)
    for drawn in scene.objects:
        _draw_shape(canvas, drawn)
        _draw_code(canvas, drawn, ink)
    return _jpeg(_noisy(picture, scene, noise or drawn_noise), scene.jpeg_quality)


def _background(scene: Scene) -> np.ndarray:
    """float32 [H, W, 3]."""
    first, second = (np.array(colour, np.float32) for colour in scene.background)
    if scene.background[0] == scene.background[1]:
        return np.broadcast_to(first, (scene.height, scene.width, 3))
    across = np.linspace(-0.5, 0.5, scene.width, dtype=np.float32) * math.cos(scene.angle)
    down = np.linspace(-0.5, 0.5, scene.height, dtype=np.float32) * math.sin(scene.angle)
    reach = abs(math.cos(scene.angle)) + abs(math.sin(scene.angle))
    share = (across[None, :] + down[:, None]) / np.float32(reach) + np.float32(0.5)  # [H, W] in 0..1
    return first + share[..., None] * (second - first)


def _draw_shape(canvas: ImageDraw.ImageDraw, drawn: Object) -> None:
    x, y, radius = drawn.x, drawn.y, drawn.radius
    if drawn.shape == NO_SHAPE:
        return
    if drawn.shape == "circle":
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=drawn.rgb)
    elif drawn.shape == "square":
        canvas.rectangle((x - radius, y - radius, x + radius, y + radius), fill=drawn.rgb)
    elif drawn.shape == "triangle":
        corners = [(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)]
        canvas.polygon(corners, fill=drawn.rgb)
    else:
        canvas.polygon(_star(x, y, radius), fill=drawn.rgb)


def _star(x: float, y: float, radius: float) -> list[tuple[float, float]]:
    """The ten corners of a five-pointed star, a point upwards."""
    reaches = [radius, radius * 0.42] * 5
    angles = [math.pi * (corner / 5 - 0.5) for corner in range(10)]
    return [(x + r * math.cos(a), y + r * math.sin(a)) for r, a in zip(reaches, angles, strict=True)]


def _draw_code(canvas: ImageDraw.ImageDraw, drawn: Object, ink: tuple[int, int, int]) -> None:
    font = load_font(drawn.font, drawn.size)
    x = drawn.code_left
    for character in drawn.code:  # one by one, so that the place of each glyph is known exactly
        canvas.text((x, drawn.baseline), character, fill=ink, font=font, anchor="ls")
        x += glyph_advance(character, drawn.font, drawn.size)


def drawn_noise(scene: Scene) -> np.ndarray:
    """Gaussian noise of deviation 1, float32 [H, W, 3], drawn with the scene's `noise_seed`."""
    shape = (scene.height, scene.width, 3)
    return np.random.default_rng(scene.noise_seed).standard_normal(shape, dtype=np.float32)


def quick_noise(scene: Scene) -> np.ndarray:
    """Like `drawn_noise`, but cut from a store at a place that `noise_seed` chooses: much faster, for training."""
    values = scene.height * scene.width * 3
    store = _stored_noise(1 << 23)
    start = scene.noise_seed % (store.size - values)
    return store[start : start + values].reshape(scene.height, scene.width, 3)


@functools.cache
def _stored_noise(values: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(values, dtype=np.float32)


def _noisy(picture: Image.Image, scene: Scene, noise: Callable[[Scene], np.ndarray]) -> Image.Image:
    pixels = noise(scene) * np.float32(scene.noise)
    pixels += np.asarray(picture)
    np.rint(pixels, out=pixels)
    np.clip(pixels, 0, 255, out=pixels)
    return Image.fromarray(pixels.astype(np.uint8))


def _jpeg(picture: Image.Image, quality: int | None) -> Image.Image:
    if quality is None:
        return picture
    stored = io.BytesIO()
    picture.save(stored, "JPEG", quality=quality)
    return Image.open(stored).convert("RGB")
