"""Recordings like those of N-MNIST: a digit on a screen, seen in three micro-saccades.

Orchard, Jayawant, Cohen and Thakor, 2015 (doi:10.3389/fnins.2015.00437) moved an ATIS sensor
on a pan-tilt unit before a screen: three saccades of about 105 ms along a triangle, cut out
at 34 x 34 pixels. The path, the lens and the pixel below were fitted to 100 of the real
recordings (docs/datasets.md). The fit takes the digit to be dark on a bright screen: with
that the signs and places of the real events agree, with bright on dark they do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.errors import ConfigurationError
from streamvdib.events import EventArray, SensorSize
from streamvdib.geometry import Box, Geometry

from .moving import Buffers, move_image, sorted_events
from .nmnist_fit import FITTED
from .packed import PackedSteps, empty_steps, set_bits
from .pixel import Float
from .randomness import normal
from .saccades import Setup

NMNIST_SIZE = SensorSize(34, 34)
CAPACITY = 60_000  # events; the real recordings have at most about 7,200
VARIATION_STREAM = 1 << 41


@dataclass(frozen=True)
class Variation:
    """How recordings differ from one another, standard deviations; as real ones do by default."""

    shift: float = 0.09  # of the digit's place, pixels, each axis
    delay_us: float = 1700.0  # of the start of the saccades
    threshold: float = 0.03  # of the mean threshold, relative
    size: float = 0.0  # of the digit's size, relative


NO_VARIATION = Variation(0.0, 0.0, 0.0, 0.0)
Image = npt.NDArray[np.uint8]


def simulate_nmnist(
    image: Image, seed: int, *, variation: Variation = Variation(), setup: Setup = FITTED
) -> EventArray:
    """One recording of a digit.

    Args:
        image: (28, 28), 0 to 255, bright digit on black as MNIST has it.
        seed: what is random follows from it alone.
        variation: how far this recording may lie from the mean one.
        setup: how it is recorded; as the real ones were, by default.

    Returns:
        EVENT_DTYPE, (n_events,), in order of time, within 310 ms.
    """
    buffers = Buffers.of(CAPACITY)
    n_events = _simulate(_check(image), seed, variation, setup, buffers)
    return sorted_events(buffers, n_events, NMNIST_SIZE)


def simulate_binned(
    images: npt.NDArray[np.uint8],
    seeds: Sequence[int] | npt.NDArray[np.int64],
    *,
    dt_us: int = 10_000,
    n_steps: int = 31,
    crop: Box | None = None,
    variation: Variation = Variation(),
    setup: Setup = FITTED,
    n_threads: int = 1,
) -> PackedSteps:
    """Many recordings at once, as the bits of their time steps.

    Recording i has the bits of ``simulate_nmnist(images[i], seeds[i])``.

    Args:
        images: (n, 28, 28), 0 to 255.
        seeds: one per recording, (n,).
        dt_us: length of a time step.
        n_steps: time steps; what comes later is left out.
        crop: part of the sensor to keep; all of it if None.
        variation: how recordings differ.
        setup: how they are recorded.
        n_threads: threads to use; the result does not depend on it.
    """
    if len(images) != len(seeds):
        raise ConfigurationError(
            f"there must be one seed per image; got {len(images)} images, {len(seeds)} seeds"
        )
    kept = Geometry(NMNIST_SIZE, crop or Box(0, 0, *NMNIST_SIZE)).crop
    steps = empty_steps(len(images), n_steps, kept, dt_us)

    def run(part: range) -> None:
        buffers = Buffers.of(CAPACITY)
        for i in part:
            n_events = _simulate(_check(images[i]), int(seeds[i]), variation, setup, buffers)
            _set_bits(
                steps.bits[i], buffers.times[:n_events], buffers.where, NMNIST_SIZE.width,
                dt_us, kept.x, kept.y, kept.width, kept.height,
            )  # fmt: skip

    with ThreadPoolExecutor(n_threads) as threads:
        list(threads.map(run, [range(k, len(images), n_threads) for k in range(n_threads)]))
    return steps


@njit(cache=True, nogil=True)
def _set_bits(
    bits: npt.NDArray[np.uint8], times: Float, where: npt.NDArray[np.int64], sensor_width: int,
    dt_us: int, left: int, top: int, width: int, height: int,
) -> None:  # fmt: skip
    """The bits of unsorted events as ``move_image`` leaves them."""
    n_events = times.size
    pixels = where[:n_events] >> 1
    set_bits(
        bits, times.astype(np.int64), pixels % sensor_width, pixels // sensor_width,
        where[:n_events] & 1, dt_us, left, top, width, height,
    )  # fmt: skip


def _simulate(image: Image, seed: int, variation: Variation, setup: Setup, buffers: Buffers) -> int:
    draws = [float(normal(np.uint64(seed), VARIATION_STREAM, k)) for k in range(5)]
    pixel = setup.with_thresholds(max(1.0 + variation.threshold * draws[3], 0.3))
    scale = max(1.0 + variation.size * draws[4], 0.5)
    lens = replace(setup.lens, scale=setup.lens.scale * scale)
    inwards = 0.5 * 28 * (setup.lens.scale - lens.scale)  # keeps the digit's middle where it was
    motion = setup.path(
        variation.shift * draws[0] + inwards,
        variation.shift * draws[1] + inwards,
        variation.delay_us * draws[2],
    )
    return move_image(image, motion, lens, pixel, NMNIST_SIZE, seed, buffers)


def _check(image: Image) -> Image:
    if image.shape != (28, 28):
        raise ConfigurationError(f"an image of a digit must have shape (28, 28); got {image.shape}")
    return image
