"""A device that never answers: its thread is left where it hangs, and another reads on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from streamvdib.errors import LiveSourceError
from streamvdib.sources.feed import Batch
from streamvdib.sources.live import MAX_ABANDONED, LiveOptions, LiveSource

OPTIONS = LiveOptions(clock_rate=0.0, hang_us=2_000_000)


class HangingFeed:
    """Gives batches; at each None in its script a call hangs until ``released``, then gives one."""

    def __init__(self, tools: Any, script: list[Batch | None], late: Batch) -> None:
        self._inner = tools.ScriptedFeed([])
        self._script: Iterator[Batch | None] = iter(script)
        self._late = late
        self.hangs, self.released = threading.Semaphore(0), threading.Event()
        self.name, self.sensor_size, self.time_bits = "hanging", tools.size, 64
        self.counters: dict[str, int] = {}

    def open(self) -> None:
        self._inner.open()

    def read(self, timeout_s: float) -> Batch | None:
        batch = next(self._script, "over")
        if batch == "over":
            return self._inner.read(timeout_s)
        if batch is None:
            self.hangs.release()
            assert self.released.wait(60.0)
            return self._late
        return batch

    def close(self) -> None:
        self._inner.close()


@pytest.fixture
def late(tools: Any) -> Batch:
    return Batch(tools.some_events(50, start_us=9_000_000))


def test_a_read_that_hangs_is_abandoned_and_what_it_gives_late_goes_nowhere(
    tools: Any, late: Batch
) -> None:
    before, after = tools.some_events(50), tools.some_events(50, start_us=2_000_000)
    clock = tools.FakeClock()
    feed = HangingFeed(tools, [Batch(before), None, Batch(after)], late)
    source = LiveSource(feed, OPTIONS, clock=clock)
    packets = iter(source)
    found = [next(packets).events]
    assert feed.hangs.acquire(timeout=60.0)
    source.reconnect()
    assert source.counters["readers_abandoned"] == 0  # it may still answer
    clock.time_us += 2_000_001
    source.reconnect()
    assert source.counters["readers_abandoned"] == 1
    assert [t.name for t in threading.enumerate() if "abandoned read hanging" in t.name]
    feed.released.set()
    found += [packet.events for packet in packets]
    assert np.array_equal(np.concatenate(found), np.concatenate([before, after]))
    assert source.counters["reconnections"] == 1
    status = source.status()
    assert status.n_received == status.n_delivered == 100
    source.close()


def test_a_device_that_hangs_again_and_again_is_an_error(tools: Any, late: Batch) -> None:
    clock = tools.FakeClock()
    feed = HangingFeed(tools, [None] * (MAX_ABANDONED + 1), late)
    source = LiveSource(feed, OPTIONS, clock=clock)

    def watch() -> None:
        for _ in range(MAX_ABANDONED + 1):
            assert feed.hangs.acquire(timeout=60.0)
            clock.time_us += 2_000_001
            source.reconnect()

    watchdog = threading.Thread(target=watch)
    watchdog.start()
    with pytest.raises(LiveSourceError, match="9 times a call did not come back within 2 s"):
        tools.collect(source)
    watchdog.join()
    feed.released.set()
    source.close()
