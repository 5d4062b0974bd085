"""The wall clock, passed in so that tests can fake it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A clock that never runs backwards, and a way to wait for it.

    Live sources use it as the watermark of a silent scene and for back-off, replay uses it for
    pacing. Event time is never read from it, except for events that carry no time of their own.
    """

    def now_us(self) -> int:
        """Microseconds since an arbitrary moment."""

    def sleep_us(self, duration_us: int) -> None:
        """Give the processor away for about ``duration_us``; zero or less returns at once."""


class SystemClock:
    """The monotonic clock of the operating system."""

    def now_us(self) -> int:
        """Microseconds since an arbitrary moment, usually that of starting the machine."""
        return time.monotonic_ns() // 1000

    def sleep_us(self, duration_us: int) -> None:
        """Sleep; the system may wake us some 70 us late."""
        if duration_us > 0:
            time.sleep(duration_us / 1e6)
