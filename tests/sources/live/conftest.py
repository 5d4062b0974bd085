"""Fakes that live sources are tested with: a clock, a feed that plays a script."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from streamvdib.errors import LiveSourceError
from streamvdib.events import EventArray, SensorSize, as_events, empty_events
from streamvdib.sources.feed import Batch
from streamvdib.sources.live import LiveSource

SIZE = SensorSize(240, 180)


class FakeClock:
    """Moves only when it is told to, or slept on."""

    def __init__(self) -> None:
        self.time_us = 1_000_000
        self.slept_us: list[int] = []
        self._lock = threading.Lock()

    def now_us(self) -> int:
        return self.time_us

    def sleep_us(self, duration_us: int) -> None:
        with self._lock:
            self.slept_us.append(duration_us)
            self.time_us += max(0, duration_us)


Step = Batch | Exception | Callable[[], None]


class ScriptedFeed:
    """Gives batches, raises errors and calls functions in the order of its script, then ends."""

    def __init__(
        self, script: list[Step], *, opens: list[bool] | None = None, time_bits: int = 64
    ) -> None:
        self.name = "scripted"
        self.sensor_size = SIZE
        self.time_bits = time_bits
        self.counters: dict[str, int] = {}
        self.n_opened = 0
        self.n_closed = 0
        self.clock: FakeClock | None = None
        self.open_times_us: list[int] = []
        self._opens = opens or []
        self._script: Iterator[Step] = iter(script)

    def open(self) -> None:
        if self.clock is not None:
            self.open_times_us.append(self.clock.now_us())
        if self._opens and not self._opens.pop(0):
            raise LiveSourceError("scripted: nothing answers")
        self.n_opened += 1

    def read(self, timeout_s: float) -> Batch | None:
        del timeout_s
        step = next(self._script, None)
        if isinstance(step, Exception):
            raise step
        if callable(step):
            step()
            return Batch(empty_events())
        return step

    def close(self) -> None:
        self.n_closed += 1


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


def collect(source: LiveSource) -> EventArray:
    """All events until the source ends; checks what a packet promises."""
    found, end_us = [empty_events()], None
    for packet in source:
        times = packet.events["t_us"]
        assert np.all(np.diff(times) >= 0)
        assert np.all(times < packet.end_us)
        if end_us is not None:
            assert packet.end_us > end_us
            assert np.all(times >= end_us)
        end_us = packet.end_us
        found.append(packet.events)
    source.close()
    return np.concatenate(found)


class Tools:
    """What the tests in this folder share."""

    FakeClock = FakeClock
    ScriptedFeed = ScriptedFeed
    size = SIZE
    some_events = staticmethod(some_events)
    collect = staticmethod(collect)


@pytest.fixture(scope="session")
def tools() -> type[Tools]:
    """Fakes and helpers."""
    return Tools
