"""Drops an event that none of its eight neighbours backs up: ``baf=2000`` microseconds.

Noise comes alone; an edge lights up neighbours within a short time (Delbruck, 2008, "Frame-free
dynamic digital vision", Symposium on Secure-Life Electronics). The pixel's own past does not
count, nor does polarity.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.events import EventArray, SensorSize
from streamvdib.filters.chain import parse_number
from streamvdib.filters.refractory import NEVER

DEFAULT_US = 2000


class BackgroundActivity:
    """Memory: 8 bytes a pixel and border, the time of the last event beside it."""

    name = "baf"

    def __init__(self, sensor_size: SensorSize, support_us: int) -> None:
        self._support_us = support_us
        shape = (sensor_size.height + 2, sensor_size.width + 2)
        self._beside_us = np.full(shape, NEVER, dtype=np.int64)

    def keep(self, events: EventArray) -> npt.NDArray[np.bool_]:
        """Those with an event at a neighbour at most ``support_us`` before."""
        kept = np.empty(len(events), dtype=np.bool_)
        _keep(events, self._support_us, self._beside_us, kept)
        return kept


def parse(value: str, sensor_size: SensorSize) -> BackgroundActivity:
    """From a time in microseconds."""
    return BackgroundActivity(sensor_size, parse_number("baf", value, DEFAULT_US))


@njit(nogil=True, cache=True)
def _keep(
    events: EventArray,
    support_us: int,
    beside_us: npt.NDArray[np.int64],
    kept: npt.NDArray[np.bool_],
) -> None:
    for i in range(events.shape[0]):
        t_us = events[i]["t_us"]
        row, column = np.int64(events[i]["y"]) + 1, np.int64(events[i]["x"]) + 1
        kept[i] = t_us - beside_us[row, column] <= support_us
        own = beside_us[row, column]
        for r in range(row - 1, row + 2):
            for c in range(column - 1, column + 2):
                beside_us[r, c] = t_us
        beside_us[row, column] = own
