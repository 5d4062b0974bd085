"""Drops an event that follows another of its pixel too soon: ``refractory=500`` microseconds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.events import EventArray, SensorSize
from streamvdib.filters.chain import parse_number

DEFAULT_US = 1000
NEVER = -(1 << 62)


class Refractory:
    """Memory: 8 bytes a pixel, the time of the last event that stayed."""

    name = "refractory"

    def __init__(self, sensor_size: SensorSize, period_us: int) -> None:
        self._period_us = period_us
        self._last_us = np.full((sensor_size.height, sensor_size.width), NEVER, dtype=np.int64)

    def keep(self, events: EventArray) -> npt.NDArray[np.bool_]:
        """Those at least ``period_us`` after the last one of their pixel that stayed."""
        kept = np.empty(len(events), dtype=np.bool_)
        _keep(events, self._period_us, self._last_us, kept)
        return kept


def parse(value: str, sensor_size: SensorSize) -> Refractory:
    """From a time in microseconds."""
    return Refractory(sensor_size, parse_number("refractory", value, DEFAULT_US))


@njit(nogil=True, cache=True)
def _keep(
    events: EventArray,
    period_us: int,
    last_us: npt.NDArray[np.int64],
    kept: npt.NDArray[np.bool_],
) -> None:
    for i in range(events.shape[0]):
        event = events[i]
        kept[i] = event["t_us"] - last_us[event["y"], event["x"]] >= period_us
        if kept[i]:
            last_us[event["y"], event["x"]] = event["t_us"]
