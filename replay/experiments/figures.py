"""Figures of experiments, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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


N_COLOURS = 10  # of matplotlib's own cycle


def line_styles(names: Sequence[str], dashed: Collection[str] = ()) -> dict[str, tuple[str, str]]:
    """Colour and stroke of every line: no two of up to 20 in a group look the same.

    Args:
        names: of the lines.
        dashed: the second group among them.
    """
    styles = {}
    for strokes, is_dashed in ((("-", ":"), False), (("--", "-."), True)):
        group = [name for name in names if (name in dashed) == is_dashed]
        for index, name in enumerate(group):
            colour, stroke = index % N_COLOURS, strokes[index // N_COLOURS % len(strokes)]
            styles[name] = (f"C{colour}", stroke)
    return styles


def draw_lines(
    path: Path,
    lines: Mapping[str, Line],
    x_label: str,
    y_label: str,
    *,
    log_x: bool = False,
    log_y: bool = False,
    dashed: Collection[str] = (),
) -> None:
    """Named lines in one panel; for ``dashed`` see ``line_styles``."""
    plt = pyplot()
    figure, axis = plt.subplots(figsize=(8, 5))
    styles = line_styles(list(lines), dashed)
    for name, (x, y) in lines.items():
        colour, stroke = styles[name]
        axis.plot(x, y, stroke, color=colour, marker=".", label=name, linewidth=1, markersize=3)
    if log_x:
        axis.set_xscale("log")
    if log_y:
        axis.set_yscale("log")
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
