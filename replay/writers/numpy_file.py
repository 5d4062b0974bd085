"""NumPy: one array of records with the fields t, x, y, p, written as it grows.

The header has room for the count, which is filled in when the file is closed; a file that never
was closed has the count that its length says, so the header first promises none.
"""

from __future__ import annotations

import io
import os
from typing import BinaryIO

import numpy as np

from streamvdib.events import EventPacket, SensorSize

RECORD = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "?")])


class Encoder:
    """A .npy file; the sensor's size is not written."""

    def __init__(self, sensor_size: SensorSize) -> None:
        del sensor_size

    def header(self) -> bytes:
        """The header of an array that is still empty."""
        return _header(0)

    def encode(self, packet: EventPacket) -> bytes:
        """The records as they lie in memory."""
        return packet.events.tobytes()

    def finish(self, file: BinaryIO) -> None:
        """Write into the header how many records there are: a full disk may have refused some."""
        n_bytes = os.fstat(file.fileno()).st_size - len(_header(0))
        with open(file.name, "r+b") as again:
            again.write(_header(n_bytes // RECORD.itemsize))


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
