"""Figures of experiments, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamvdib.errors import MissingExtraError

Line = tuple[Sequence[float], Sequence[float]]


def pyplot() -> Any:
    """Matplotlib's pyplot, drawing into files.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise MissingExtraError("a figure", extra="experiments", missing="matplotlib") from None
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    return plt


def draw_lines(
    path: Path, lines: Mapping[str, Line], x_label: str, y_label: str, *, log_x: bool = False
) -> None:
    """Named lines in one panel."""
    plt = pyplot()
    figure, axis = plt.subplots(figsize=(8, 5))
    for name, (x, y) in lines.items():
        axis.plot(x, y, ".-", label=name, linewidth=1, markersize=3)
    if log_x:
        axis.set_xscale("log")
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw_pictures(
    path: Path, rows: Mapping[str, Sequence[npt.ArrayLike]], shape: tuple[int, int]
) -> None:
    """Rows of small grey pictures, each row with its name; pixels from 0 to 1."""
    plt = pyplot()
    n_columns = max(len(row) for row in rows.values())
    figure, axes = plt.subplots(
        len(rows), n_columns, figsize=(0.6 * n_columns + 2, 0.65 * len(rows)), squeeze=False
    )
    for line, (name, row) in zip(axes, rows.items(), strict=True):
        for axis in line:
            axis.axis("off")
        for axis, picture in zip(line, row, strict=False):
            axis.imshow(np.asarray(picture).reshape(shape), cmap="gray", vmin=0, vmax=1)
        line[0].set_title(name, fontsize=6, loc="left")
    figure.tight_layout(pad=0.2)
    figure.savefig(path, dpi=110)
    plt.close(figure)
