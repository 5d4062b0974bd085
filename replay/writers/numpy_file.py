"""NumPy: one array of records with the fields t, x, y, p, written as it grows.

The header has room for the count, which is filled in when the file is closed; a file that never
was closed has the count that its length says, so the header first promises none.
"""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np

from streamvdib.events import EventPacket, SensorSize

RECORD = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "?")])


class Encoder:
    """A .npy file; the sensor's size is not written."""

    def __init__(self, sensor_size: SensorSize) -> None:
        self._sensor_size = sensor_size
        self._n_events = 0

    def header(self) -> bytes:
        """The header of an array that is still empty."""
        return _header(0)

    def encode(self, packet: EventPacket) -> bytes:
        """The records as they lie in memory."""
        self._n_events += len(packet.events)
        return packet.events.tobytes()

    def finish(self, file: BinaryIO) -> None:
        """Write the count into the header."""
        with open(file.name, "r+b") as again:
            again.write(_header(self._n_events))


def _header(n_events: int) -> bytes:
    """A header of version 1.0, as long for one event as for many."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer,
        {
            "descr": np.lib.format.dtype_to_descr(RECORD),
            "fortran_order": False,
            "shape": (n_events,),
        },
    )
    return buffer.getvalue()
