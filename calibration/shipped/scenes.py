"""Scenes: shaded bodies on a ground under a light, blurred with distance, with noise, by day and by night."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

BODIES = 9


def draw_scene(random: Generator, number: int, width: int, height: int) -> Image.Image:
    """Draw bodies from the farthest to the nearest; every other scene is at night."""
    night = number % 2 == 1
    pixels = _ground(random, width, height, night=night)
    for body in range(BODIES):
        near = body / (BODIES - 1)
        _draw_body(pixels, random, near, light=0.35 if night else 1.0)
        blur = 1.5 * (1 - near) ** 2
        soft = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(blur))
        pixels = np.asarray(soft).astype(np.float32)
    if night:
        _draw_lamps(pixels, random)
    pixels += random.normal(0, 9 if night else 4, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _ground(random: Generator, width: int, height: int, *, night: bool) -> NDArray[np.float32]:
    """Return sky above ground, float32 [height, width, 3]."""
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    horizon = random.uniform(0.25, 0.5)
    sky, ground = random.uniform(150, 255, 3), random.uniform(50, 170, 3)
    pixels = np.where(down < horizon, sky * (0.7 + 0.6 * down), ground * (0.5 + 0.7 * down))
    rough = random.normal(0, 12, (height, width, 1)) * (down >= horizon)
    return ((pixels + rough) * (0.15 if night else 1.0)).astype(np.float32)


def _draw_body(pixels: NDArray[np.float32], random: Generator, near: float, light: float) -> None:
    """Draw a ball or a box with its shadow into `pixels`, larger and lower the nearer it is."""
    height, width, _ = pixels.shape
    radius = (0.05 + 0.16 * near) * min(width, height) * random.uniform(0.6, 1.2)
    x, y = random.uniform(0, width), (0.35 + 0.5 * near) * height
    across, down = np.meshgrid((np.arange(width) - x) / radius, (np.arange(height) - y) / radius)
    shadow = ((across - 0.5) / 1.3) ** 2 + ((down - 0.95) / 0.25) ** 2 < 1
    pixels[shadow] *= 0.55
    round_body = random.random() < 0.6
    inside = across**2 + down**2 < 1 if round_body else (abs(across) < 0.8) & (abs(down) < 0.95)
    shade = np.sqrt(np.clip(1 - across**2 - down**2, 0, 1)) if round_body else 0.55 + 0.25 * across
    facing = np.clip(0.25 + 0.6 * shade - 0.3 * across - 0.3 * down, 0, 1.3)
    colour = random.uniform(30, 255, 3) * light
    shown = facing[..., None] * colour
    if random.random() < 0.4:  # stripes
        shown = shown * (0.6 + 0.4 * (np.sin(across * random.uniform(6, 20)) > 0))[..., None]
    shown = shown + 255 * light * (facing[..., None] > 1.15)  # where it shines
    pixels[inside] = shown[inside]


def _draw_lamps(pixels: NDArray[np.float32], random: Generator) -> None:
    height, width, _ = pixels.shape
    for _ in range(12):
        x, y, reach = random.uniform(0, width), random.uniform(0, 0.6 * height), random.uniform(0.005, 0.03) * width
        across, down = np.meshgrid((np.arange(width) - x) / reach, (np.arange(height) - y) / reach)
        glow = 1 / (1 + across**2 + down**2)
        pixels += 400 * glow[..., None] ** 1.5 * random.uniform(0.5, 1.0, 3)
