"""This project's own container: append-only, and good up to where it was cut off.

The layout is that of ``streamvdib.sources.svr``, which reads it.
"""

from __future__ import annotations

from typing import BinaryIO

from streamvdib.events import EventPacket, SensorSize
from streamvdib.sources import svr


class Encoder:
    """Chunks, one per packet."""

    def __init__(self, sensor_size: SensorSize) -> None:
        self._sensor_size = sensor_size

    def header(self) -> bytes:
        """Magic number and the sensor's size."""
        return svr.header(self._sensor_size)

    def encode(self, packet: EventPacket) -> bytes:
        """One chunk, or several if the packet is very long."""
        pieces = range(0, max(1, len(packet.events)), svr.MAX_CHUNK_EVENTS)
        return b"".join(
            svr.chunk(EventPacket(packet.events[at : at + svr.MAX_CHUNK_EVENTS], packet.end_us))
            for at in pieces
        )

    def finish(self, file: BinaryIO) -> None:
        """Nothing is missing."""
