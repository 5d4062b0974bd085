"""Compiled loops over event arrays: find the first bad event, find where packets end."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.events import EventArray

GOOD, EARLIER, OFF_SENSOR, LATER = 0, 1, 2, 3


@njit(cache=True, nogil=True)
def first_bad(
    events: EventArray, last_t_us: int, width: int, height: int, max_gap_us: int
) -> tuple[int, int]:
    """Index of the first event that breaks a rule, and which; (n_events, GOOD) if none does.

    Args:
        events: (n_events,).
        last_t_us: time of the event before them, microseconds.
        width: columns of the sensor.
        height: rows of the sensor.
        max_gap_us: how far time may jump forward, microseconds.
    """
    previous = last_t_us
    for index in range(len(events)):
        event = events[index]
        t_us = event["t_us"]
        if t_us < previous:
            return index, EARLIER
        if not 0 <= t_us - previous <= max_gap_us:  # below 0: 64 bits were not enough
            return index, LATER
        if event["x"] >= width or event["y"] >= height:
            return index, OFF_SENSOR
        previous = t_us
    return len(events), GOOD


@njit(cache=True, nogil=True)
def windows(
    events: EventArray, packet_us: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The windows of ``packet_us`` that hold events: index of their first event, and their end.

    Args:
        events: in order of time, (n_events,).
        packet_us: length of a window, microseconds; windows begin at its multiples.

    Returns:
        The indices, and the times at which the windows end, microseconds.
    """
    starts = np.empty(len(events), dtype=np.int64)
    ends_us = np.empty(len(events), dtype=np.int64)
    n_windows = 0
    end_us = np.int64(-(1 << 62))
    for index in range(len(events)):
        t_us = events[index]["t_us"]
        if t_us >= end_us:
            end_us = (t_us // packet_us + 1) * packet_us
            starts[n_windows] = index
            ends_us[n_windows] = end_us
            n_windows += 1
    return starts[:n_windows].copy(), ends_us[:n_windows].copy()
