"""An event camera that looks at a sequence of images."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.errors import ConfigurationError, EventOrderError
from streamvdib.events import EventArray, SensorSize, empty_events

from .moving import Buffers, Integer, sorted_events
from .pixel import Float, PixelModel, advance_pixel, draw_thresholds, reset_pixels

FIRST_CAPACITY = 1 << 14


class EventCamera:
    """Simulated pixels that are shown one image after another.

    Between two images the log intensity of a pixel is a straight line, so images should follow
    one another closely enough that nothing moves by more than about a pixel.

    Memory: 56 bytes per pixel, and 32 for each event of the busiest pair of images.
    """

    def __init__(
        self, sensor_size: SensorSize, pixel: PixelModel | None = None, *, seed: int = 0
    ) -> None:
        """Pixels that have seen nothing yet.

        Args:
            sensor_size: of the images.
            pixel: constants of the pixels; the usual ones if None.
            seed: what is random follows from it alone.
        """
        self.sensor_size = sensor_size
        self.pixel = pixel or PixelModel()
        self.seed = seed
        n_pixels = sensor_size.width * sensor_size.height
        self._theta_on, self._theta_off = np.empty(n_pixels), np.empty(n_pixels)
        spread = self.pixel.threshold_mismatch
        draw_thresholds(seed, self.pixel.threshold_on, spread, 0, self._theta_on)
        draw_thresholds(seed, self.pixel.threshold_off, spread, 1, self._theta_off)
        self._states = np.empty((n_pixels, 4))
        self._level = np.empty(n_pixels)
        self._time_us: int | None = None
        self._buffers = Buffers.of(FIRST_CAPACITY)

    def push(self, t_us: int, image: npt.ArrayLike) -> EventArray:
        """Show the next image.

        Args:
            t_us: when it is seen, microseconds, later than the image before.
            image: intensities, (height, width), 0 to the pixel model's white.

        Returns:
            The events since the image before, EVENT_DTYPE in order of time: none for the first.
        """
        intensity = self._check(t_us, image)
        level = self.pixel.level(intensity)
        if self._time_us is None:
            self._level, self._time_us = level, t_us
            reset_pixels(self.seed, float(t_us), self.pixel.constants, self._theta_on, self._states)
            return empty_events()
        gain = self.pixel.gain(intensity, t_us - self._time_us)
        after = self._level + gain * (level - self._level)
        n_events = self._advance(float(self._time_us), float(t_us), after)
        self._level, self._time_us = after, t_us
        return sorted_events(self._buffers, n_events, self.sensor_size)

    def _check(self, t_us: int, image: npt.ArrayLike) -> Float:
        intensity = np.asarray(image, np.float64)
        size = self.sensor_size
        if intensity.shape != (size.height, size.width):
            raise ConfigurationError(
                f"an image must have the shape (height, width) of a {size} sensor; "
                f"got {intensity.shape}"
            )
        if not np.isfinite(intensity).all() or intensity.min() < 0:
            raise ConfigurationError("intensities must be finite and not negative")
        if self._time_us is not None and t_us <= self._time_us:
            raise EventOrderError(
                f"an image must be later than the one before, t={self._time_us} us; "
                f"got t={t_us} us. Sort the images by time"
            )
        return intensity.reshape(-1)

    def _advance(self, start: float, end: float, after: Float) -> int:
        """Events into the buffers, which grow until they hold them; returns how many."""
        while True:
            states = self._states.copy()
            n_events = _advance_all(
                start, end, self._level, after, self.seed, self.pixel.constants,
                self._theta_on, self._theta_off, states, self._buffers.times, self._buffers.where,
            )  # fmt: skip
            if n_events < self._buffers.times.size:
                self._states = states
                return int(n_events)
            self._buffers = Buffers.of(2 * self._buffers.times.size)


def simulate_frames(
    images: Iterable[tuple[int, npt.ArrayLike]],
    sensor_size: SensorSize,
    pixel: PixelModel | None = None,
    *,
    seed: int = 0,
) -> EventArray:
    """The events of a sequence of (time in microseconds, image), in order of time.

    Memory: that of all events; push the images to an ``EventCamera`` for an endless sequence.
    """
    camera = EventCamera(sensor_size, pixel, seed=seed)
    return np.concatenate([empty_events(), *(camera.push(t_us, image) for t_us, image in images)])


@njit(cache=True, nogil=True)
def _advance_all(
    start: float, end: float, before: Float, after: Float, seed: int,
    constants: tuple[float, float, float, float, float], theta_on: Float, theta_off: Float,
    states: Float, times: Float, where: Integer,
) -> int:  # fmt: skip
    """All pixels from one image to the next; stops making events when the buffers are full."""
    n_events = 0
    for pixel in range(before.size):
        n_events = advance_pixel(
            start, end, before[pixel], after[pixel], pixel, seed, constants,
            theta_on[pixel], theta_off[pixel], states[pixel], times, where, n_events,
        )  # fmt: skip
    return n_events
