"""A file as a place where ``replay`` sends packets: conversion by replaying."""

from __future__ import annotations

import os

from streamvdib.events import EventPacket, SensorSize

from .opening import open_writer


class FilePublisher:
    """Writes packets to a file. Memory: one packet."""

    def __init__(
        self, path: str | os.PathLike[str], sensor_size: SensorSize, *, zero_time: bool = False
    ) -> None:
        """Create the file; with ``zero_time`` the first event is at zero."""
        self._writer = open_writer(path, sensor_size, origin_us=None if zero_time else 0)

    @property
    def counters(self) -> dict[str, int]:
        """Events written."""
        return {"events": self._writer.n_events}

    def publish(self, packet: EventPacket) -> None:
        """Append one packet."""
        self._writer.write(packet)

    def close(self) -> None:
        """Complete the file."""
        self._writer.close()
