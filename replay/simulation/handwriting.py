"""Digits drawn by the project itself: pen strokes with jitter, normalised as MNIST is.

Each digit is a few smooth strokes through a handful of points. A writer (a seed) moves the
points, slants, turns and stretches the whole, and chooses a pen. The drawing is then scaled
into a 20 x 20 box and its centre of mass put in the middle of 28 x 28, as LeCun et al. did for
MNIST, so that what was made for MNIST can be used on it. No image of MNIST is used.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamvdib.errors import ConfigurationError

from .pixel import Float

SIDE = 28
BOX = 20.0  # pixels, the longer side of the drawing with its pen
POINTS_PER_SPAN = 12

# Points (x to the right, y down) that each stroke passes through, in a unit square.
STROKES: tuple[tuple[tuple[tuple[float, float], ...], ...], ...] = (
    (((0.52, 0.04), (0.24, 0.2), (0.13, 0.55), (0.33, 0.92), (0.66, 0.9), (0.86, 0.52),
      (0.76, 0.16), (0.5, 0.04)),),
    (((0.56, 0.03), (0.52, 0.35), (0.48, 0.65), (0.45, 0.97)),),
    (((0.2, 0.26), (0.4, 0.05), (0.7, 0.1), (0.74, 0.35), (0.48, 0.64), (0.18, 0.92)),
     ((0.18, 0.92), (0.5, 0.89), (0.86, 0.93))),
    (((0.2, 0.14), (0.5, 0.03), (0.75, 0.2), (0.62, 0.39), (0.4, 0.47)),
     ((0.4, 0.47), (0.7, 0.55), (0.79, 0.77), (0.52, 0.97), (0.15, 0.86))),
    (((0.28, 0.05), (0.2, 0.3), (0.18, 0.53), (0.5, 0.54), (0.84, 0.5)),
     ((0.7, 0.08), (0.66, 0.5), (0.62, 0.97))),
    (((0.78, 0.06), (0.54, 0.06), (0.3, 0.08)),
     ((0.3, 0.08), (0.26, 0.25), (0.24, 0.42), (0.55, 0.38), (0.8, 0.62), (0.6, 0.92),
      (0.18, 0.9))),
    (((0.66, 0.04), (0.38, 0.28), (0.22, 0.62), (0.38, 0.94), (0.68, 0.88), (0.72, 0.62),
      (0.47, 0.53), (0.24, 0.7)),),
    (((0.14, 0.1), (0.5, 0.08), (0.86, 0.09)), ((0.86, 0.09), (0.62, 0.45), (0.42, 0.97))),
    (((0.72, 0.16), (0.46, 0.03), (0.26, 0.2), (0.46, 0.44), (0.74, 0.68), (0.6, 0.96),
      (0.34, 0.92), (0.28, 0.7), (0.52, 0.48), (0.75, 0.28), (0.72, 0.16)),),
    (((0.75, 0.2), (0.5, 0.04), (0.25, 0.22), (0.36, 0.46), (0.63, 0.42), (0.76, 0.18)),
     ((0.76, 0.18), (0.72, 0.58), (0.58, 0.97))),
)  # fmt: skip


def draw_digit(digit: int, seed: int) -> npt.NDArray[np.uint8]:
    """One digit as one writer draws it.

    Args:
        digit: 0 to 9.
        seed: of the writer; the same seed draws the same image.

    Returns:
        (28, 28), 0 (paper) to 255 (ink).
    """
    if not 0 <= digit < len(STROKES):
        raise ConfigurationError(f"a digit must lie in 0..{len(STROKES) - 1}; got {digit}")
    rng = np.random.default_rng([seed, digit])
    strokes = [_smooth(np.asarray(points) + rng.normal(0, 0.025, (len(points), 2)))
               for points in STROKES[digit]]  # fmt: skip
    turn = _hand(rng)
    pen = rng.uniform(2.0, 3.2)  # width, pixels
    strokes = _into_box([stroke @ turn.T for stroke in strokes], pen)
    ink = _ink(strokes, pen)
    rows, columns = np.indices(ink.shape)
    middle = np.array([(ink * columns).sum(), (ink * rows).sum()]) / ink.sum()
    centred = _ink([stroke + (SIDE - 1) / 2 - middle for stroke in strokes], pen)
    return np.asarray(np.round(255 * centred), np.uint8)


def _hand(rng: np.random.Generator) -> Float:
    """Stretch, slant and turn, (2, 2)."""
    angle, slant, narrow = rng.normal(0, 0.07), rng.normal(0.12, 0.12), rng.uniform(0.75, 1.0)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(rotation @ np.array([[narrow, -slant], [0.0, 1.0]]))


def _smooth(points: Float) -> Float:
    """A Catmull-Rom curve through ``points`` (n, 2), sampled evenly in each span."""
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    t = np.linspace(0.0, 1.0, POINTS_PER_SPAN, endpoint=False)[:, None]
    spans = []
    for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        linear = end - before
        square = 2 * before - 5 * start + 4 * end - after
        cube = 3 * start - before - 3 * end + after
        spans.append(start + 0.5 * (t * linear + t**2 * square + t**3 * cube))
    return np.vstack([*spans, points[-1:]])


def _into_box(strokes: list[Float], pen: float) -> list[Float]:
    """Scale and move strokes so that with their pen they fill the box in its longer side."""
    low = np.min([stroke.min(0) for stroke in strokes], axis=0)
    high = np.max([stroke.max(0) for stroke in strokes], axis=0)
    scale = (BOX - pen) / (high - low).max()
    return [(stroke - (low + high) / 2) * scale + (SIDE - 1) / 2 for stroke in strokes]


def _ink(strokes: list[Float], pen: float) -> Float:
    """How much of each pixel is inked, (SIDE, SIDE), 0 to 1: an edge one pixel wide."""
    rows, columns = np.indices((SIDE, SIDE))
    pixels = np.stack([columns, rows], axis=-1).astype(np.float64)[:, :, None, :]
    nearest = np.full((SIDE, SIDE), np.inf)
    for stroke in strokes:
        start, along = stroke[:-1], np.diff(stroke, axis=0)
        length = np.maximum((along**2).sum(-1), 1e-12)
        share = np.clip(((pixels - start) * along).sum(-1) / length, 0.0, 1.0)
        distance = np.linalg.norm(pixels - (start + share[..., None] * along), axis=-1)
        nearest = np.minimum(nearest, distance.min(-1))
    return np.asarray(np.clip(pen / 2 + 0.5 - nearest, 0.0, 1.0))
