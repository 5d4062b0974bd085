"""Rows of small grey pictures as one image file, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image


def write_montage(
    path: Path, rows: Sequence[npt.ArrayLike], shape: tuple[int, int], *, scale: int = 1
) -> None:
    """Write rows of pictures.

    Args:
        path: of the PNG file.
        rows: each (n, height * width) from 0 to 1, all of one n.
        shape: (height, width) of a picture.
        scale: enlarges every pixel.
    """
    lines = []
    for row in rows:
        pictures = np.asarray(row, dtype=np.float32).reshape(-1, *shape)
        lines.append(np.concatenate(list(pictures), axis=1))
    whole = (np.clip(np.concatenate(lines), 0.0, 1.0) * 255.0).round().astype(np.uint8)
    Image.fromarray(whole.repeat(scale, 0).repeat(scale, 1)).save(path)
