"""Time stamps of 32 bits made to go on when their counter starts again.

A drop by more than 3 * 2^30 us is a counter of 2^32 us (71.6 minutes) that starts again. A drop
from just below 2^31 us to just above 0 is one of 2^31 us, as signed counters have it. Any other
drop is left alone, for the recording's policy to judge.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import SupportsInt

import numpy as np
import numpy.typing as npt

from streamvdib.sources.reading import count

_NEAR_US = 1 << 26  # 67 s


class Unwrapper:
    """Adds what a wrapping counter lost; feed it all times of a recording in order.

    Args:
        counters: ``wraps`` is raised.
    """

    def __init__(self, counters: MutableMapping[str, int]) -> None:
        self._counters = counters
        self._last: int | None = None  # as recorded
        self._offset = 0

    @property
    def offset_us(self) -> int:
        """What was lost so far, microseconds."""
        return self._offset

    @property
    def last(self) -> int:
        """The last time, as recorded; lower than any before the first."""
        return -1 if self._last is None else self._last

    def advance(self, last: SupportsInt) -> None:
        """Take note of times among which the counter did not start again.

        Args:
            last: the last of them, as recorded.
        """
        self._last = int(last)

    def __call__(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Unwrapped times.

        Args:
            times: as recorded, 0 to 2^32 - 1, microseconds, (n_events,).
        """
        if len(times) == 0:
            return times
        before = int(times[0]) if self._last is None else self._last
        self._last = int(times[-1])
        drops = np.diff(times, prepend=before) < -(1 << 30)
        if drops.any():
            return self._unwrap(times, before, np.flatnonzero(drops))
        return times + self._offset if self._offset else times

    def _unwrap(
        self, times: npt.NDArray[np.int64], before: int, drops: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        added = np.zeros(len(times), dtype=np.int64)
        for index in drops:
            last = before if index == 0 else int(times[index - 1])
            added[index] = _period(last, int(times[index]))
        count(self._counters, "wraps", np.count_nonzero(added))
        offsets = self._offset + np.cumsum(added)
        self._offset = int(offsets[-1])
        return times + offsets


def _period(last: int, now: int) -> int:
    """What the counter lost between two times that run back; 0 if it did not wrap."""
    if last - now > 3 << 30:
        return 1 << 32
    if 0 <= (1 << 31) - 1 - last < _NEAR_US and now < _NEAR_US:
        return 1 << 31
    return 0
