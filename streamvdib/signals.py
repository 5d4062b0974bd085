"""SIGINT, SIGTERM and SIGHUP end a run between two packets, with everything drained and closed.

    with Signals() as signals:
        for packet in signals.interruptible(source):    raises ``Stopped`` while it waits
            with signals.deferred():                    or at the end of this block
                session.advance(packet)

A second signal does what the system does without us.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self, TypeVar

T = TypeVar("T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal asks the run to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """128 + the number of the signal: 130 SIGINT, 143 SIGTERM, 129 SIGHUP."""
        return 128 + self.number


class Signals:
    """Turns the first signal into ``Stopped`` at a moment when nothing is half done."""

    def __init__(self) -> None:
        self.came: int | None = None
        self._waiting = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def interruptible(self, items: Iterable[T]) -> Iterator[T]:
        """The same items; a signal that comes while one is waited for ends the waiting."""
        iterator = iter(items)
        while True:
            self.check()
            self._waiting = True
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self._waiting = False
            yield item

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """A block that a signal does not break; ``Stopped`` is raised at its end."""
        yield
        self.check()

    def check(self) -> None:
        """Raise ``Stopped`` if a signal has come."""
        if self.came is not None:
            raise Stopped(self.came)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.came = number
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)
        if self._waiting:
            self._waiting = False
            raise Stopped(number)
