"""The thread that calls a device. One that the device never lets return can be abandoned.

A call into a driver or the operating system cannot be broken off from outside. What can be done
is to leave the thread where it hangs, let nothing that it still reads count, and read on in a new
one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from streamvdib.sources.clock import Clock

_LOG = logging.getLogger(__name__)
T = TypeVar("T")


class DeviceThread:
    """One reading thread after another. Memory: a few numbers, and the threads that hang.

    Args:
        target: what a thread does; it asks ``is_mine`` after every call.
        clock: when the device was called.
        hang_us: a call that takes longer hangs.
    """

    def __init__(self, target: Callable[[], None], clock: Clock, hang_us: int) -> None:
        self.n_abandoned = 0
        self._target, self._clock, self._hang_us = target, clock, hang_us
        self._thread: threading.Thread | None = None
        self._called_us: int | None = None  # when the device was called that has not answered yet

    @property
    def is_started(self) -> bool:
        """Whether there has been a thread."""
        return self._thread is not None

    @property
    def is_alive(self) -> bool:
        """Whether a thread reads or hangs, those that were abandoned aside."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def is_mine(self) -> bool:
        """Whether the calling thread is the one that reads: it has not been abandoned."""
        return threading.current_thread() is self._thread

    @property
    def hangs(self) -> bool:
        """Whether the device has not answered for ``hang_us``."""
        called_us = self._called_us
        return (
            self.is_alive
            and called_us is not None
            and self._clock.now_us() - called_us > self._hang_us
        )

    def start(self, name: str) -> None:
        """Start a thread; one that is there is abandoned."""
        if self._thread is not None:
            self.n_abandoned += 1
            _LOG.error("the thread %r hangs and is abandoned", self._thread.name)
            self._thread.name = f"abandoned {self._thread.name}"
        self._called_us = None
        self._thread = threading.Thread(target=self._target, name=name, daemon=True)
        self._thread.start()

    def call(self, device: Callable[[], T]) -> T:
        """Call the device from the thread that reads it."""
        self._called_us = self._clock.now_us()
        try:
            return device()
        finally:
            if self.is_mine:
                self._called_us = None

    def join(self, timeout_s: float) -> bool:
        """Wait for its end; whether it has ended, or never began."""
        if self._thread is not None and not self.is_mine:
            self._thread.join(timeout_s)
        return not self.is_alive
