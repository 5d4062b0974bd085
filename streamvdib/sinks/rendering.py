"""Numbers into pictures that a person can look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from streamvdib.input_steps import InputSteps

GrayImage = npt.NDArray[np.uint8]

GAP = 4  # pixels between pictures that stand side by side


def as_gray(pixels: npt.NDArray[np.floating[Any]]) -> GrayImage:
    """Values in [0, 1] as bytes; what lies outside is clipped, nan is black."""
    gray: GrayImage = (np.clip(np.nan_to_num(pixels), 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
    return gray


def streams_as_gray(pixels: npt.NDArray[np.floating[Any]]) -> GrayImage:
    """Frames of several streams beside each other; vectors become bars of one row.

    Args:
        pixels: (n_streams, height, width) or (n_streams, n_values).
    """
    images = [as_gray(image) for image in (pixels if pixels.ndim == 3 else pixels[:, None])]
    return side_by_side(images)


def enlarge(image: GrayImage, factor: int) -> GrayImage:
    """Every pixel as a square of ``factor`` pixels."""
    return np.repeat(np.repeat(image, factor, 0), factor, 1)


def side_by_side(images: Sequence[GrayImage]) -> GrayImage:
    """Images in a row, centred on the tallest, with a dark gap between them."""
    height = max(len(image) for image in images)
    parts: list[GrayImage] = []
    for image in images:
        missing = height - len(image)
        padded = np.pad(image, ((missing // 2, missing - missing // 2), (0, 0)))
        parts += [padded, np.zeros((height, GAP), dtype=np.uint8)]
    return np.concatenate(parts[:-1], axis=1)


def grid(images: Sequence[GrayImage], n_columns: int) -> GrayImage:
    """Images of one size in rows of ``n_columns``, dark gaps between them."""
    blank = np.zeros_like(images[0])
    rows = []
    for start in range(0, len(images), n_columns):
        row = list(images[start : start + n_columns])
        row += [blank] * (n_columns - len(row))
        rows += [side_by_side(row), np.zeros((GAP, side_by_side(row).shape[1]), dtype=np.uint8)]
    return np.concatenate(rows[:-1])


def caption(text: str, height: int, width: int) -> GrayImage:
    """Light words on black, centred."""
    image = Image.new("L", (width, height))
    ImageDraw.Draw(image).text((width // 2, height // 2), text, fill=220, anchor="mm")
    return np.asarray(image)


class EventPicture:
    """Collects input steps and draws them: ON white, OFF black, silence gray.

    Memory: one count per input line.
    """

    def __init__(self, input_shape: tuple[int, ...], n_lanes: int = 1) -> None:
        self.input_shape = input_shape
        self.counts: npt.NDArray[np.int64] = np.zeros((n_lanes, *input_shape), dtype=np.int64)

    def observe(self, inputs: InputSteps, spikes: object = None) -> None:
        """Count the active inputs of every step; an observer of the engine."""
        lanes = np.tile(np.arange(inputs.n_lanes), inputs.n_steps)
        lane_of_index = np.repeat(lanes, np.diff(inputs.offsets))
        flat = lane_of_index * inputs.n_inputs + inputs.indices
        self.counts += np.bincount(flat, minlength=self.counts.size).reshape(self.counts.shape)

    def pictures(self) -> npt.NDArray[np.float32]:
        """What came since the last ``clear``, in [0, 1], (n_lanes, height, width)."""
        counts = self.counts
        two_signs = counts.ndim == 4 and counts.shape[1] == 2
        balance = counts[:, 1] - counts[:, 0] if two_signs else counts.reshape(len(counts), 1, -1)
        if counts.ndim == 4 and not two_signs:
            balance = counts[:, 0]
        scale = max(1.0, float(np.percentile(np.abs(balance), 99)))
        return (0.5 + np.clip(balance / scale, -1, 1) / 2).astype(np.float32)

    def clear(self) -> None:
        """Begin a new picture."""
        self.counts[:] = 0
