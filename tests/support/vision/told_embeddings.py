"""The embeddings that the telling bundle must give, computed from transformers' patches and position ids."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from PIL import Image
from support.preprocessing_reference import theirs
from transformers.vision_utils import get_vision_nearest_position_ids

from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.vision.encoder import Encoded


def expected_embeddings(image: Image.Image, bundle: Bundle, mode: Mode, max_slices: int) -> list[np.ndarray]:
    """The expected embeddings of each view, computed from transformers' patches and position ids."""
    prepared = theirs(image, bundle.manifest.preprocessing, mode, max_slices)
    return [
        told_row_by_row(patches, rows, columns, mode)
        for patches, (rows, columns) in zip(prepared.patches, prepared.sizes, strict=True)
    ]


def told_row_by_row(patches: np.ndarray, rows: int, columns: int, mode: Mode) -> np.ndarray:
    positions = get_vision_nearest_position_ids(torch.tensor([[rows, columns]]), 70).numpy()
    told = np.concatenate([patches.reshape(-1, 3, 196).mean(axis=2), positions[:, None]], axis=1)
    told = told.reshape(rows, columns, 4)
    block = 4 if mode == "16x" else 2
    tokens = []
    for row, column in itertools.product(range(0, rows, block), range(0, columns, block)):
        square = told[row : row + block, column : column + block]
        tokens.append(windows_of(square) if mode == "16x" else np.tile(square.reshape(4, 4), (1, 4)))
    return np.stack(tokens).reshape(len(tokens), -1)


def windows_of(square: np.ndarray) -> np.ndarray:
    """[4, 4, numbers] -> the patches window by window, row by row: four windows with four patches each."""
    corners = [(0, 0), (0, 2), (2, 0), (2, 2)]
    return np.stack([square[row : row + 2, column : column + 2].reshape(4, -1) for row, column in corners])


def split(seen: Encoded) -> list[np.ndarray]:
    return np.split(seen.embeddings, np.cumsum([view.tokens for view in seen.views])[:-1])
