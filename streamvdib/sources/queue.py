"""A bounded queue of events between the thread that reads a device and the one that decodes.

A device does not wait: when the queue is full its oldest events make room and are counted. A
pipe does wait: with ``blocking`` a full queue holds the writer up instead, and nothing is lost.
Always ``n_pushed == n_popped + n_dropped + n_held``.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from streamvdib.errors import ConfigurationError
from streamvdib.events import EventArray, TimedImage, empty_events

MAX_IMAGES = 16


@dataclass(frozen=True)
class Popped:
    """What the queue held when it was asked."""

    events: EventArray  # EVENT_DTYPE, in order of time
    images: tuple[TimedImage, ...]
    drained: bool  # nothing was left behind
    horizon_us: int | None  # sensor time up to which the device promised nothing more will come
    arrived_us: int  # wall clock at which the device last gave something
    silent_us: int  # wall clock up to which the device is known to have given nothing since
    ended: bool  # drained, and nothing will ever be pushed again


class EventQueue:
    """A ring of events, one writer and one reader.

    Memory: 13 * capacity bytes, allocated once, and ``MAX_IMAGES`` images.
    """

    def __init__(self, capacity: int, *, blocking: bool = False) -> None:
        if capacity < 1:
            raise ConfigurationError(f"a queue must hold at least 1 event; got {capacity}")
        self.capacity = capacity
        self.n_pushed = 0
        self.n_popped = 0
        self.n_dropped = 0
        self.n_dropped_images = 0
        self._ring = empty_events(capacity)
        self._images: deque[TimedImage] = deque()
        self._horizon_us: int | None = None
        self._arrived_us = 0
        self._silent_us = 0
        self._closed = False
        self._blocking = blocking
        self._changed = threading.Condition()

    @property
    def n_held(self) -> int:
        """Events now in the queue."""
        return self.n_pushed - self.n_popped - self.n_dropped

    def push(
        self,
        events: EventArray,
        *,
        arrived_us: int,
        horizon_us: int | None = None,
        images: tuple[TimedImage, ...] = (),
    ) -> None:
        """Hand over events in order of time; drops the oldest, or waits, when there is no room.

        Args:
            events: EVENT_DTYPE, (n_events,), copied; none to say that nothing came.
            arrived_us: wall clock up to which the device was listened to.
            horizon_us: sensor time up to which nothing more will come, if the device says so.
            images: the sensor's own frames.
        """
        start = 0
        while start < len(events):
            start += self._push_some(events[start:])
        with self._changed:
            self._keep_images(images)
            if horizon_us is not None:
                self._horizon_us = max(horizon_us, self._horizon_us or horizon_us)
            self._silent_us = arrived_us
            if len(events) or images or horizon_us is not None:
                self._arrived_us = arrived_us
            self._changed.notify_all()

    def pop(self, *, timeout_s: float, max_events: int = 1 << 16) -> Popped:
        """Take the oldest events, waiting up to ``timeout_s`` if there is nothing at all."""
        with self._changed:
            if timeout_s > 0:
                self._changed.wait_for(self._has_news, timeout_s)
            n_events = min(self.n_held, max_events)
            events = self._copy_out(n_events)
            self.n_popped += n_events
            drained = self.n_held == 0
            images = tuple(self._images)
            self._images.clear()
            horizon_us = self._horizon_us if drained else None
            if drained:
                self._horizon_us = None
            self._changed.notify_all()
            return Popped(
                events,
                images,
                drained,
                horizon_us,
                self._arrived_us,
                self._silent_us,
                drained and self._closed,
            )

    def wait_until_drained(self, timeout_s: float) -> bool:
        """Whether the reader took everything within ``timeout_s``."""
        with self._changed:
            return self._changed.wait_for(lambda: self.n_held == 0, timeout_s)

    def close(self) -> None:
        """Nothing more will be pushed; what is held can still be popped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _has_news(self) -> bool:
        return self.n_held > 0 or self._closed or bool(self._images) or self._horizon_us is not None

    def _push_some(self, events: EventArray) -> int:
        """Push what fits at once and return how many that were."""
        n_events = min(len(events), self.capacity)
        with self._changed:
            if self._blocking:
                self._changed.wait_for(lambda: self.n_held < self.capacity or self._closed)
                n_events = min(n_events, max(1, self.capacity - self.n_held))
            excess = self.n_held + n_events - self.capacity
            if excess > 0:
                self.n_dropped += excess
            self._copy_in(events[:n_events])
            self.n_pushed += n_events
            self._changed.notify_all()
        return n_events

    def _keep_images(self, images: tuple[TimedImage, ...]) -> None:
        self._images.extend(images)
        while len(self._images) > MAX_IMAGES:
            self._images.popleft()
            self.n_dropped_images += 1

    def _copy_in(self, events: EventArray) -> None:
        start = self.n_pushed % self.capacity
        n_first = min(len(events), self.capacity - start)
        self._ring[start : start + n_first] = events[:n_first]
        self._ring[: len(events) - n_first] = events[n_first:]

    def _copy_out(self, n_events: int) -> EventArray:
        start = (self.n_popped + self.n_dropped) % self.capacity
        events = empty_events(n_events)
        n_first = min(n_events, self.capacity - start)
        events[:n_first] = self._ring[start : start + n_first]
        events[n_first:] = self._ring[: n_events - n_first]
        return events
