"""A status line every second while a source is decoded."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TextIO

from streamvdib.events import EventPacket, SensorSize
from streamvdib.sources.clock import Clock, SystemClock
from streamvdib.sources.live import LiveSource
from streamvdib.sources.source import EventSource

PERIOD_US = 1_000_000


class WatchedSource:
    """Another source's packets, and a line about it every second. Memory: that of the source.

    A live source tells events a second, the queue's fill, drops, reconnections and lag; a
    recording events a second and what was repaired.
    """

    def __init__(
        self, source: EventSource, *, clock: Clock | None = None, stream: TextIO | None = None
    ) -> None:
        """Watch ``source``, which is closed with this; lines go to standard error."""
        self.name = source.name
        self.is_live = source.is_live
        self.sensor_size: SensorSize = source.sensor_size
        self.source = source
        self._clock = clock or SystemClock()
        self._stream = stream or sys.stderr

    @property
    def counters(self) -> Mapping[str, int]:
        """Those of the source."""
        return self.source.counters

    def __iter__(self) -> Iterator[EventPacket]:
        """The source's packets."""
        before_us, n_events = self._clock.now_us(), 0
        for packet in self.source:
            n_events += len(packet.events)
            elapsed_us = self._clock.now_us() - before_us
            if elapsed_us >= PERIOD_US:
                self._say(n_events * 1e6 / elapsed_us)
                before_us, n_events = before_us + elapsed_us, 0
            yield packet

    def close(self) -> None:
        """Close the source."""
        self.source.close()

    def _say(self, rate_hz: float) -> None:
        if isinstance(self.source, LiveSource):
            line = str(self.source.status())
        else:
            bad = "".join(f", {name} {n}" for name, n in self.counters.items() if n)
            line = f"{self.name}: {rate_hz:.0f} ev/s{bad}"
        self._stream.write(f"{line}\n")
        self._stream.flush()
