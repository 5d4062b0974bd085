"""ATIS events of 40 bits, as N-MNIST and N-Caltech101 have them.

Bytes: x, y, then one polarity bit and a big-endian 23-bit time in microseconds. When those run
out, a mark (an event in row 240) makes its own and all later times 2^13 us later.
"""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from streamvdib.events import EventPacket, SensorSize

from .encoder import check_fits, check_times

LARGEST = SensorSize(256, 240)
OVERFLOW_ROW = 240
OVERFLOW_US = 1 << 13
LARGEST_STORED_US = (1 << 23) - 1
LARGEST_US = 3_600_000_000


class Encoder:
    """Files of 40-bit events; the sensor's size is not written."""

    def __init__(self, sensor_size: SensorSize) -> None:
        check_fits(sensor_size, LARGEST, "ATIS 40-bit")
        self._n_marks = 0

    def header(self) -> bytes:
        """There is none."""
        return b""

    def encode(self, packet: EventPacket) -> bytes:
        """Five bytes an event, and as many marks as their times need."""
        events = packet.events
        check_times(events, LARGEST_US, "ATIS 40-bit")
        beyond_us = np.maximum(0, events["t_us"] - LARGEST_STORED_US)
        marks_needed = np.maximum(-(-beyond_us // OVERFLOW_US), self._n_marks)
        new_marks = np.diff(marks_needed, prepend=self._n_marks)
        places = np.cumsum(new_marks + 1) - 1
        total = int(places[-1]) + 1 if len(events) else 0
        rows = np.zeros((total, 5), dtype=np.uint8)
        rows[:, 1] = OVERFLOW_ROW
        stored = events["t_us"] - OVERFLOW_US * marks_needed
        # A mark carries the time of the event it is for, so that times never run back.
        rows[:, 2:] = _times(np.repeat(stored, new_marks + 1))
        rows[places, 0], rows[places, 1] = events["x"], events["y"]
        rows[places, 2] |= events["on"].astype(np.uint8) << 7
        self._n_marks += int(new_marks.sum())
        return rows.tobytes()

    def finish(self, file: BinaryIO) -> None:
        """Nothing is missing."""


def _times(stored_us: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Big-endian 23-bit times, (n, 3) bytes."""
    shifted = stored_us[:, None] >> np.array([16, 8, 0])
    return np.asarray(shifted & np.array([0x7F, 0xFF, 0xFF]), dtype=np.uint8)
