"""What has come for a subscriber and what it is given: no socket, no thread, no event loop.

    reader's thread -> put -> bounded, the oldest give way -> next -> the program's thread

Both clients are thin shells around it: how a message is waited for is all that differs.
"""

from __future__ import annotations

import collections
from typing import NamedTuple

from streamvdib.errors import ConfigurationError

from .tracking import Received, Tracker, newest_of

_QUEUE_NEWEST, _QUEUE_EVERY = 64, 1000
_DRAIN_LIMIT = 1000


class Arrived(NamedTuple):
    """A message and when it came."""

    parts: list[bytes]
    monotonic_ns: int
    wall_us: int


class Inbox:
    """Messages in order of arrival, or the newest of each topic. Memory: ``capacity`` messages.

    Args:
        newest: skip to the newest message of each topic when behind; otherwise every message.
        capacity: messages that may wait, 64 for the newest and 1,000 for every one unless given.
    """

    def __init__(self, *, newest: bool, capacity: int | None = None) -> None:
        if capacity is not None and capacity < 1:
            raise ConfigurationError(f"queue must be at least 1 message; got {capacity}")
        self.tracker = Tracker()
        self.n_skipped = 0
        self._newest = newest
        self._waiting: collections.deque[Arrived] = collections.deque(
            maxlen=capacity or (_QUEUE_NEWEST if newest else _QUEUE_EVERY)
        )
        self._ready: collections.deque[Received] = collections.deque()

    @property
    def n_waiting(self) -> int:
        """Messages that have come and were not looked at."""
        return len(self._waiting)

    def put(self, arrived: Arrived) -> None:
        """A message has come; in one thread, which may be another than that of ``next``."""
        self._waiting.append(arrived)

    def next(self) -> Received | None:
        """The next message for the program; None if there is none.

        Raises:
            WireError: it is of another major schema number.
        """
        while not self._ready:
            arrived = self._take(_DRAIN_LIMIT if self._newest else 1)
            if not arrived:
                return None
            found = [m for one in arrived if (m := self.tracker.follow(*one)) is not None]
            chosen = newest_of(found) if self._newest else found
            self.n_skipped += len(found) - len(chosen)
            self._ready.extend(chosen)
        return self._ready.popleft()

    def _take(self, limit: int) -> list[Arrived]:
        taken: list[Arrived] = []
        while self._waiting and len(taken) < limit:
            taken.append(self._waiting.popleft())
        return taken
