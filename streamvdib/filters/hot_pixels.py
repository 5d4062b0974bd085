"""Drops pixels that fire much more often than the rest: ``hot`` or ``hot=5``.

Every ``WINDOW_US`` of the sensor's time the events of each pixel are counted, before any is
dropped. A pixel is hot through the next window if in the last it had more than ``factor`` times
the average of the pixels that had any, and more than ``MIN_RATE_HZ``. The first window passes
whole. A pixel that calms down comes back.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.events import EventArray, SensorSize
from streamvdib.filters.chain import parse_number

DEFAULT_FACTOR = 10
WINDOW_US = 1_000_000
MIN_RATE_HZ = 50


class HotPixels:
    """Memory: 5 bytes a pixel, a count and a mark."""

    name = "hot"

    def __init__(self, sensor_size: SensorSize, factor: int) -> None:
        shape = (sensor_size.height, sensor_size.width)
        self._counts = np.zeros(shape, dtype=np.int32)
        self._is_hot = np.zeros(shape, dtype=np.bool_)
        self._factor = factor
        self._window_end_us: int | None = None

    @property
    def n_hot(self) -> int:
        """Pixels that are silenced now."""
        return int(self._is_hot.sum())

    def keep(self, events: EventArray) -> npt.NDArray[np.bool_]:
        """Those of pixels that were not hot in the window before."""
        times = events["t_us"]
        if self._window_end_us is None:
            self._window_end_us = int(times[0]) + WINDOW_US
        kept = np.empty(len(events), dtype=np.bool_)
        start = 0
        while start < len(events):
            stop = int(np.searchsorted(times, self._window_end_us))
            _count(events[start:stop], self._counts, self._is_hot, kept[start:stop])
            start = stop
            if start < len(events):
                self._next_window(int(times[start]))
        return kept

    def _next_window(self, t_us: int) -> None:
        """Judge by the window that is over; windows without events forgive everything."""
        assert self._window_end_us is not None
        active = self._counts[self._counts > 0]
        limit = max(
            self._factor * float(active.mean()) if len(active) else 0.0,
            MIN_RATE_HZ * WINDOW_US / 1e6,
        )
        np.greater(self._counts, limit, out=self._is_hot)
        self._counts[:] = 0
        n_windows = (t_us - self._window_end_us) // WINDOW_US + 1
        if n_windows > 1:
            self._is_hot[:] = False
        self._window_end_us += n_windows * WINDOW_US


def parse(value: str, sensor_size: SensorSize) -> HotPixels:
    """From a factor above the average; 10 without one."""
    return HotPixels(sensor_size, parse_number("hot", value, DEFAULT_FACTOR))


@njit(nogil=True, cache=True)
def _count(
    events: EventArray,
    counts: npt.NDArray[np.int32],
    is_hot: npt.NDArray[np.bool_],
    kept: npt.NDArray[np.bool_],
) -> None:
    for i in range(events.shape[0]):
        x, y = events[i]["x"], events[i]["y"]
        counts[y, x] += 1
        kept[i] = not is_hot[y, x]
