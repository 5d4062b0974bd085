"""Compiled loops over event arrays: find the first bad event, find where packets end."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.events import EventArray

GOOD, EARLIER, OFF_SENSOR, LATER = 0, 1, 2, 3
OFF_ANY_SENSOR = 65535  # a coordinate that does not fit into 16 bits


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
def extent(events: EventArray) -> tuple[int, int]:
    """Columns and rows that hold all events but those marked as off any sensor; at least 1.

    Args:
        events: (n_events,).
    """
    right, bottom = np.uint16(0), np.uint16(0)
    for index in range(len(events)):
        x, y = events[index]["x"], events[index]["y"]
        if x < OFF_ANY_SENSOR and y < OFF_ANY_SENSOR:
            right, bottom = max(right, x), max(bottom, y)
    return int(right) + 1, int(bottom) + 1


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
    starts, ends_us = [0], [np.int64(0)]
    index = 0
    while index < len(events):
        end_us = (events[index]["t_us"] // packet_us + 1) * packet_us
        starts.append(index)
        ends_us.append(end_us)
        index = first_from(events, index, end_us)
    return np.array(starts[1:]), np.array(ends_us[1:])


@njit(cache=True, nogil=True)
def first_from(events: EventArray, start: int, t_us: int) -> int:
    """Index of the first event not earlier than ``t_us``, by steps that double and then halve.

    Args:
        events: in order of time, (n_events,).
        start: an event that is earlier.
        t_us: microseconds.
    """
    before, step = start, 1
    while before + step < len(events) and events[before + step]["t_us"] < t_us:
        before += step
        step *= 2
    after = min(before + step, len(events))
    while after - before > 1:
        middle = (before + after) // 2
        if events[middle]["t_us"] < t_us:
            before = middle
        else:
            after = middle
    return after
