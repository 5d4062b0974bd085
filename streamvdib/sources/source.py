"""What every way in has in common: a camera, a recording, a socket or a test signal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

from streamvdib.events import EventPacket, SensorSize


@runtime_checkable
class EventSource(Protocol):
    """A camera, a recording or a test signal.

    Iterating blocks until a packet is ready. A recording ends, a camera does not. Consecutive
    packets never overlap in time: no event of a packet is earlier than the ``end_us`` of the
    packet before. Iterating a recording a second time starts it again.
    """

    sensor_size: SensorSize
    is_live: bool  # True: the clock goes on by itself and data may be lost
    name: str  # for messages and tables: a path, a serial number, an address

    @property
    def counters(self) -> Mapping[str, int]:
        """What was skipped, repaired or lost since iteration began, by cause."""

    def __iter__(self) -> Iterator[EventPacket]:
        """Packets in order of time."""

    def close(self) -> None:
        """Give back files, sockets and devices; safe to call twice."""


def innermost(source: EventSource) -> EventSource:
    """What a filter, recorder, pace or status line was put around: it has it as ``source``."""
    while (inner := getattr(source, "source", None)) is not None:
        source = inner
    return source
