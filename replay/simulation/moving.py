"""A still image that moves before the sensor: one compiled loop from path to events.

The scene is the image as the lens shows it (square dots blurred by a Gaussian), sampled
``FINE`` times per pixel, its log taken once. At each time of the path a pixel reads the scene
at its own place minus the image's offset, between samples by straight lines; so a recording
costs (steps x pixels) readings and no logarithm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.errors import ConfigurationError
from streamvdib.events import EventArray, SensorSize, as_events

from .pixel import Float, PixelModel, advance_pixel, draw_thresholds, reset_pixels

Integer = npt.NDArray[np.int64]
FINE = 4  # samples of the scene per pixel


@dataclass(frozen=True)
class Motion:
    """Where the image is over time. The first time is the start of the recording."""

    times_us: Float  # rising, evenly spaced, (n_steps + 1,)
    x: Float  # column of the image's left edge on the sensor, pixels, (n_steps + 1,)
    y: Float  # row of its top edge, (n_steps + 1,)

    def __post_init__(self) -> None:
        steps = np.diff(self.times_us)
        if not (len(self.times_us) > 1 and steps.min() > 0 and np.ptp(steps) < 1e-6 * steps[0]):
            raise ConfigurationError("the times of a motion must be two or more, evenly spaced")
        if not len(self.times_us) == len(self.x) == len(self.y):
            raise ConfigurationError("a motion must have one x and one y for each time")

    @property
    def dt_us(self) -> float:
        """Time between two positions, microseconds."""
        return float(self.times_us[1] - self.times_us[0])


@dataclass(frozen=True)
class Lens:
    """How the image lands on the sensor."""

    scale: float = 1.0  # sensor pixels per image pixel
    blur: float = 0.5  # standard deviation of the optics' blur, sensor pixels
    black: float = 0.0  # intensity where the image is 0
    white: float = 255.0  # intensity where it is 255


@lru_cache(maxsize=64)
def _spread(n_image: int, scale: float, blur: float, first: float, n_fine: int) -> Float:
    """What each fine sample sees of each image row (or column), (n_fine, n_image).

    A dot of the display is a box as wide as an image pixel; blurred by the lens it is the
    difference of two error functions.
    """
    centres = first + np.arange(n_fine) / FINE  # in sensor pixels, from the image's edge
    edges = np.arange(n_image + 1) * scale - 0.5
    distance = (centres[:, None] - edges[None, :]) / (max(blur, 1e-3) * math.sqrt(2.0))
    error = np.vectorize(math.erf)(distance)
    share = 0.5 * (error[:, :-1] - error[:, 1:])
    return np.asarray(np.where(share > 1e-9, share, 0.0), np.float64)


@njit(cache=True, nogil=True)
def _blur(rows: Float, image: npt.NDArray[np.uint8], columns: Float, factor: float) -> Float:
    """Factor * rows @ image @ columns, passing over zeros and using no thread but its own."""
    out = np.zeros((rows.shape[0], columns.shape[1]))
    line = np.empty(image.shape[1])
    for fine in range(rows.shape[0]):
        line[:] = 0.0
        for row in range(image.shape[0]):
            if rows[fine, row] != 0.0:
                for column in range(image.shape[1]):
                    line[column] += rows[fine, row] * image[row, column]
        for column in range(image.shape[1]):
            if line[column] != 0.0:
                out[fine] += (factor * line[column]) * columns[column]
    return out


def scene(
    image: npt.NDArray[np.uint8], lens: Lens, first_x: float, first_y: float, size: SensorSize
) -> Float:
    """Intensity on a fine grid that begins at (first_x, first_y) of the image's own plane.

    Args:
        image: (height, width), 0 to 255.
        lens: scale, blur and brightness.
        first_x: sensor pixels from the image's left edge to the grid's.
        first_y: the same downwards.
        size: of the grid, in sensor pixels.

    Returns:
        (size.height * FINE, size.width * FINE).
    """
    rows = _spread(image.shape[0], lens.scale, lens.blur, first_y, size.height * FINE)
    columns = _spread(image.shape[1], lens.scale, lens.blur, first_x, size.width * FINE)
    contrast = (lens.white - lens.black) / 255.0
    return np.asarray(lens.black + _blur(rows, image, columns.T, contrast), np.float64)


@njit(cache=True, nogil=True)
def _corners(rows: Float, columns: Float) -> tuple[Integer, Integer, Float]:
    """For each time the fine sample up and left of the image's place, and four weights."""
    top, left = rows.astype(np.int64), columns.astype(np.int64)
    weights = np.empty((rows.size, 4))
    for step in range(rows.size):
        down, right = rows[step] - top[step], columns[step] - left[step]
        weights[step, 0] = (1.0 - down) * (1.0 - right)
        weights[step, 1] = (1.0 - down) * right
        weights[step, 2] = down * (1.0 - right)
        weights[step, 3] = down * right
    return top, left, weights


@njit(cache=True, nogil=True, inline="always")
def _read(grid: Float, row: int, column: int, weights: Float) -> float:
    """The value between four samples of ``grid``; exactly theirs if they are equal."""
    first = grid[row, column]
    return float(
        first
        + weights[1] * (grid[row, column + 1] - first)
        + weights[2] * (grid[row + 1, column] - first)
        + weights[3] * (grid[row + 1, column + 1] - first)
    )


@njit(cache=True, nogil=True)
def _move(
    levels: Float, gains: Float, times: Float, rows: Float, columns: Float,
    width: int, height: int, seed: int, constants: tuple[float, float, float, float, float],
    theta_on: Float, theta_off: Float, event_times: Float, where: Integer,
) -> int:  # fmt: skip
    """Fill ``event_times`` and ``where`` pixel by pixel; returns the number of events."""
    states = np.empty((width * height, 4))
    reset_pixels(seed, times[0], constants, theta_on, states)
    top, left, weights = _corners(rows, columns)
    leak = constants[1]
    n_events = 0
    for pixel in range(width * height):
        row, column = (pixel // width) * FINE, (pixel % width) * FINE
        state, on, off = states[pixel], theta_on[pixel], theta_off[pixel]
        before = _read(levels, row + top[0], column + left[0], weights[0])
        for step in range(1, times.size):
            start, end = times[step - 1], times[step]
            at_row, at_column = row + top[step], column + left[step]
            after = before
            target = _read(levels, at_row, at_column, weights[step])
            if target != before:
                gain = _read(gains, at_row, at_column, weights[step])
                after = before + gain * (target - before)
            change = state[0] + (after - before) + leak * (end - start)
            if state[1] <= start and state[2] >= end and -off < change < on:
                state[0] = change  # no event in this step: the usual case, kept short
            else:
                n_events = advance_pixel(
                    start, end, before, after, pixel, seed, constants, on, off, state,
                    event_times, where, n_events,
                )  # fmt: skip
            before = after
    return n_events


@dataclass(frozen=True)
class Buffers:
    """Room for the events of one recording. Memory: 16 bytes x capacity."""

    times: Float  # (capacity,)
    where: Integer  # 2 * pixel + polarity, (capacity,)

    @classmethod
    def of(cls, capacity: int) -> Buffers:
        """Empty buffers for ``capacity`` events."""
        return cls(np.empty(capacity), np.empty(capacity, np.int64))


def move_image(
    image: npt.NDArray[np.uint8], motion: Motion, lens: Lens, pixel: PixelModel,
    size: SensorSize, seed: int, buffers: Buffers,
) -> int:  # fmt: skip
    """The events of an image moved along a path, unsorted, into ``buffers``.

    Args:
        image: (height, width), 0 to 255.
        motion: where it is over time.
        lens: how it lands on the sensor.
        pixel: the pixels' constants.
        size: of the sensor.
        seed: what is random follows from it alone.
        buffers: room for the events.

    Returns:
        How many there are. Events beyond the capacity are not made; a return value equal to
        the capacity therefore means that there was not enough room.
    """
    left, top = math.ceil(np.max(motion.x)), math.ceil(np.max(motion.y))  # whole: cached rows
    across = left - math.floor(np.min(motion.x)) + 1
    down = top - math.floor(np.min(motion.y)) + 1
    whole = SensorSize(size.width + across, size.height + down)
    intensity = scene(image, lens, -left, -top, whole)
    n_pixels = size.width * size.height
    theta_on, theta_off = np.empty(n_pixels), np.empty(n_pixels)
    draw_thresholds(seed, pixel.threshold_on, pixel.threshold_mismatch, 0, theta_on)
    draw_thresholds(seed, pixel.threshold_off, pixel.threshold_mismatch, 1, theta_off)
    return int(
        _move(
            pixel.level(intensity), pixel.gain(intensity, motion.dt_us), motion.times_us,
            (top - motion.y) * FINE, (left - motion.x) * FINE, size.width, size.height,
            seed, pixel.constants, theta_on, theta_off, buffers.times, buffers.where,
        )
    )  # fmt: skip


def sorted_events(buffers: Buffers, n_events: int, size: SensorSize) -> EventArray:
    """The first ``n_events`` of the buffers as events in order of time."""
    times = buffers.times[:n_events].astype(np.int64)
    order = np.argsort(times, kind="stable")
    pixels, on = np.divmod(buffers.where[:n_events][order], 2)
    return as_events(times[order], pixels % size.width, pixels // size.width, on)
