"""Patterns: what is flat, steep, fine or noisy, up to the ends of every range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray


def draw_pattern(random: Generator, number: int, width: int, height: int) -> Image.Image:
    """Draw four parts side by side: stripes or squares, black on white, clouds of colour, noise and a gradient."""
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    parts = [
        _stripes(across, down, random, number),
        _clouds(random, width, height),
        random.uniform(0, 255, (height, width, 3)),
        _gradient(across / width, down / height, random),
    ]
    places = (across * 2 // width + 2 * (down * 2 // height) + number) % len(parts)
    pixels = np.choose(places[..., None], parts)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _stripes(across: NDArray[np.int64], down: NDArray[np.int64], random: Generator, number: int) -> NDArray[np.float64]:
    period, angle = random.uniform(3, 24), random.uniform(0, np.pi)
    turned = across * np.cos(angle) + down * np.sin(angle)
    if number % 2:
        turned = np.where((across // period + down // period) % 2, 0.25, 0.75) * period
    return np.repeat(np.float64(255.0) * (turned % period > period / 2)[..., None], 3, axis=-1)


def _clouds(random: Generator, width: int, height: int) -> NDArray[np.float64]:
    """Return noise whose amplitude falls with frequency, as in photographs, float [height, width, 3]."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1 / max(width, height)
    noise = np.fft.rfft2(random.normal(0, 1, (3, height, width)))
    clouds: NDArray[np.float64] = np.moveaxis(np.fft.irfft2(noise / frequency, s=(height, width)), 0, -1)
    clouds *= 70 / clouds.std()
    return clouds + 128


def _gradient(across: NDArray[np.float64], down: NDArray[np.float64], random: Generator) -> NDArray[np.float64]:
    """Return a smooth way from one pure colour to another, float [height, width, 3]."""
    first, second = random.integers(0, 2, (2, 3)) * 255.0
    share = (across + down)[..., None] / 2
    colours: NDArray[np.float64] = first * (1 - share) + second * share
    return colours
