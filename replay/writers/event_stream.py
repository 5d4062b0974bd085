"""Event Stream 2.0, the dvs kind (github.com/neuromorphic-paris/event_stream).

An event is five bytes: the time since the one before (7 bits, microseconds) and the polarity,
then x and y as little-endian u16; y counts from the bottom. A byte 0xff stands for 127 us more.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.events import EventArray, EventPacket, SensorSize

from .encoder import check_fits, check_times

LARGEST = SensorSize(65535, 65535)
LARGEST_US = 3_600_000_000  # an hour of silence is 28 MB of 0xff


class Encoder:
    """Event Stream files of type dvs."""

    def __init__(self, sensor_size: SensorSize) -> None:
        check_fits(sensor_size, LARGEST, "Event Stream")
        self._sensor_size = sensor_size
        self._previous_us = 0

    def header(self) -> bytes:
        """Magic number, version 2.0.0, type dvs, width, height."""
        return b"Event Stream" + struct.pack("<4B2H", 2, 0, 0, 1, *self._sensor_size)

    def encode(self, packet: EventPacket) -> bytes:
        """Five bytes an event, and 0xff for every 127 us between two."""
        events = packet.events
        if not len(events):
            return b""
        check_times(events, LARGEST_US, "Event Stream")
        elapsed_us = int(events["t_us"][-1]) - self._previous_us
        data = np.empty(5 * len(events) + elapsed_us // 127, dtype=np.uint8)
        n_bytes = _encode(
            np.ascontiguousarray(events),
            self._sensor_size.height,
            self._previous_us,
            data,
        )
        self._previous_us = int(events["t_us"][-1])
        return data[:n_bytes].tobytes()

    def finish(self, file: BinaryIO) -> None:
        """Nothing is missing."""


@njit(nogil=True, cache=True)
def _encode(
    events: EventArray,
    height: int,
    previous_us: int,
    data: npt.NDArray[np.uint8],
) -> int:
    n = 0
    for i in range(events.shape[0]):
        event = events[i]
        step_us = event["t_us"] - previous_us
        previous_us = event["t_us"]
        for _ in range(step_us // 127):
            data[n] = 0xFF
            n += 1
        column, row = event["x"], height - 1 - event["y"]
        data[n] = ((step_us % 127) << 1) | event["on"]
        data[n + 1], data[n + 2] = column & 0xFF, column >> 8
        data[n + 3], data[n + 4] = row & 0xFF, row >> 8
        n += 5
    return n
