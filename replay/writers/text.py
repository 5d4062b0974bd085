"""Text: a line ``t,x,y,p`` per event, times in whole microseconds, p 1 for ON and 0 for OFF.

The columns are those of aestream and faery. A .csv file begins with a line of their names.
"""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.events import EventArray, EventPacket, SensorSize

HEADER = b"t,x,y,p\n"
_LONGEST_LINE = 20 + 1 + 5 + 1 + 5 + 1 + 1 + 1


class Encoder:
    """Lines of text; the sensor's size is not written."""

    def __init__(self, sensor_size: SensorSize) -> None:
        self._sensor_size = sensor_size

    def header(self) -> bytes:
        """The names of the columns."""
        return HEADER

    def encode(self, packet: EventPacket) -> bytes:
        """A line per event."""
        return text_lines(packet.events)

    def finish(self, file: BinaryIO) -> None:
        """Nothing is missing."""


def text_lines(events: EventArray) -> bytes:
    r"""Events as lines of text.

    >>> from streamvdib.events import as_events
    >>> text_lines(as_events([-7, 10], [0, 345], [1, 2], [True, False]))
    b'-7,0,1,1\n10,345,2,0\n'
    """
    data = np.empty(_LONGEST_LINE * len(events), dtype=np.uint8)
    n_bytes = _encode(np.ascontiguousarray(events), data)
    return data[:n_bytes].tobytes()


@njit(nogil=True, cache=True)
def _encode(
    events: EventArray,
    data: npt.NDArray[np.uint8],
) -> int:
    n = 0
    for i in range(events.shape[0]):
        event = events[i]
        for column in range(4):
            value = event["t_us"]
            if column == 1:
                value = np.int64(event["x"])
            elif column == 2:
                value = np.int64(event["y"])
            elif column == 3:
                value = np.int64(event["on"])
            if value < 0:
                data[n] = ord("-")
                n += 1
                value = -value
            n_digits = 1
            rest = value // 10
            while rest > 0:
                n_digits += 1
                rest //= 10
            for place in range(n_digits - 1, -1, -1):
                data[n + place] = ord("0") + value % 10
                value //= 10
            data[n + n_digits] = ord(",") if column < 3 else ord("\n")
            n += n_digits + 1
    return n
