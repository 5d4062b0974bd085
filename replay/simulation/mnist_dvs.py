"""Recordings like those of MNIST-DVS: a digit that moves slowly before a DVS128.

Serrano-Gotarredona and Linares-Barranco, 2015 (doi:10.3389/fnins.2015.00481) showed MNIST
digits on a monitor, moving slowly for 2 to 3 s, at three sizes. Here the digit goes round an
ellipse about the middle of the 26 x 26 pixels (rows and columns 48 to 73) that naturalization
looks at; at the size called scale 4 it stays within them.

No recording of MNIST-DVS was at hand. The noise is that of a real DVS128 which looked at a moving
box (``sensor_figures``, docs/datasets.md); lens, path, thresholds and refractory time are plausible
values, which that recording does not contradict and cannot tell.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from streamvdib.errors import ConfigurationError
from streamvdib.events import EventArray, SensorSize
from streamvdib.geometry import Box

from .moving import Buffers, Lens, Motion, move_image, sorted_events
from .pixel import PixelModel
from .randomness import uniform

DVS128_SIZE = SensorSize(128, 128)
MNIST_DVS_CROP = Box(48, 48, 26, 26)
MIDDLE = 60.5  # of the crop, pixels
SCALE = 0.75  # sensor pixels per image pixel at "scale 4": a digit of 20 pixels covers 15
RADIUS = (2.5, 4.0)  # of the ellipse, least and most, pixels
PERIOD_US = (700_000.0, 1_100_000.0)  # of one turn, least and most
STEP_US = 2000.0
CAPACITY = 400_000
PATH_STREAM = 1 << 41
PIXEL = PixelModel(
    threshold_on=0.22, threshold_off=0.22, threshold_mismatch=0.03, refractory_us=1000.0,
    leak_hz=0.022, shot_noise_hz=0.003, tau_us=500.0,
)  # fmt: skip


def simulate_mnist_dvs(
    image: npt.NDArray[np.uint8], seed: int, *, duration_us: int = 2_000_000
) -> EventArray:
    """One recording of a digit at scale 4.

    Args:
        image: (28, 28), 0 to 255, bright digit on black as MNIST has it.
        seed: what is random follows from it alone.
        duration_us: length, microseconds.

    Returns:
        EVENT_DTYPE, (n_events,), in order of time, on ``DVS128_SIZE``.
    """
    if image.shape != (28, 28):
        raise ConfigurationError(f"an image of a digit must have shape (28, 28); got {image.shape}")
    if duration_us < STEP_US:
        raise ConfigurationError(f"duration_us must be at least {STEP_US:.0f}; got {duration_us}")
    buffers = Buffers.of(CAPACITY)
    lens = Lens(scale=SCALE, blur=0.5, black=10.0, white=255.0)
    n_events = move_image(
        image, slow_path(seed, duration_us), lens, PIXEL, DVS128_SIZE, seed, buffers
    )
    return sorted_events(buffers, n_events, DVS128_SIZE)


def slow_path(seed: int, duration_us: int) -> Motion:
    """An ellipse about the middle of the crop, from a random place on it, either way round."""
    draws = [float(uniform(np.uint64(seed), PATH_STREAM, k)) for k in range(5)]
    wide, tall = (RADIUS[0] + (RADIUS[1] - RADIUS[0]) * draw for draw in draws[:2])
    period = PERIOD_US[0] + (PERIOD_US[1] - PERIOD_US[0]) * draws[2]
    turn = 2 * math.pi if draws[3] < 0.5 else -2 * math.pi
    times = np.arange(0, duration_us + 1, STEP_US, dtype=np.float64)
    angle = turn * times / period + 2 * math.pi * draws[4]
    corner = MIDDLE - 13.5 * SCALE  # where the image's first pixel lies when it is in the middle
    return Motion(times, corner + wide * np.cos(angle), corner + tall * np.sin(angle))
