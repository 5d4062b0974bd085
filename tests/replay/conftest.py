"""What the tests of replay share: a clock that is moved by hand, a source from memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from streamvdib.events import EventArray, EventPacket, SensorSize, as_events

SIZE = SensorSize(240, 180)


class FakeClock:
    """Moves when it is slept on, and by ``late_us`` more, as a busy machine does."""

    def __init__(self, late_us: int = 0) -> None:
        self.time_us = 5_000_000
        self.late_us = late_us

    def now_us(self) -> int:
        return self.time_us

    def sleep_us(self, duration_us: int) -> None:
        self.time_us += max(1, duration_us) + (self.late_us if duration_us > 0 else 0)


class MemorySource:
    """Packets from memory."""

    is_live = False

    def __init__(self, packets: list[EventPacket], size: SensorSize = SIZE) -> None:
        self.name = "memory"
        self.sensor_size = size
        self.counters: dict[str, int] = {}
        self.is_closed = False
        self._packets = packets

    def __iter__(self) -> Iterator[EventPacket]:
        return iter(self._packets)

    def close(self) -> None:
        self.is_closed = True


def some_events(
    n_events: int, *, seed: int = 0, start_us: int = 0, step_us: int = 50
) -> EventArray:
    random = np.random.default_rng(seed)
    return as_events(
        start_us + np.cumsum(random.integers(0, step_us, n_events)),
        random.integers(0, SIZE.width, n_events),
        random.integers(0, SIZE.height, n_events),
        random.random(n_events) < 0.5,
    )


def cut(events: EventArray, packet_us: int = 1000) -> list[EventPacket]:
    """Packets of ``packet_us``, empty ones included."""
    first, last = int(events["t_us"][0]), int(events["t_us"][-1])
    found, start = [], 0
    for end_us in range(first + packet_us, last + packet_us + 1, packet_us):
        stop = int(np.searchsorted(events["t_us"], end_us))
        found.append(EventPacket(events[start:stop], end_us))
        start = stop
    return found


class Tools:
    FakeClock = FakeClock
    MemorySource = MemorySource
    size = SIZE
    some_events = staticmethod(some_events)
    cut = staticmethod(cut)


@pytest.fixture(scope="session")
def tools() -> type[Tools]:
    """Fakes and helpers."""
    return Tools
