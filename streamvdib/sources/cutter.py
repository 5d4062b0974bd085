"""Cuts the events of a live source into packets whose time is over.

An event may be handed on once nothing earlier or equal can come any more: a later event has
come, or the device has promised it, or, on a silent scene only, the wall clock says so. That
clock counts only while the device was listened to: a reader that was held up makes no silence.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from streamvdib.events import EventArray, EventPacket, TimedImage, empty_events
from streamvdib.sources.packets import concatenated
from streamvdib.sources.queue import MAX_IMAGES, Popped

MAX_WAITING = 1 << 20
"""More than every pixel of a sensor of 1280x720 at once, as a camera's first picture may be."""
_SMALL_EVENTS = 1 << 12  # pieces are joined up to so many: there are few of them


class PacketCutter:
    """What the consumer's side of a live source remembers.

    Memory: at most ``MAX_WAITING`` events, which all have the newest time, and a few images.
    """

    def __init__(self, *, silence_us: int, clock_rate: float) -> None:
        self.end_us: int | None = None  # of the last packet
        self.n_delivered = 0
        self.n_behind = 0  # events that came after the watermark had passed them
        self.n_stuck = 0  # events dropped because the device's clock stands still
        self._silence_us = silence_us
        self._clock_rate = clock_rate
        self._seen_us: int | None = None  # newest time that came out of the queue
        self._waiting: deque[EventArray] = deque()
        self._n_waiting = 0
        self._images: tuple[TimedImage, ...] = ()

    @property
    def n_waiting(self) -> int:
        """Events whose moment is not over."""
        return self._n_waiting

    def cut(self, popped: Popped) -> EventPacket | None:
        """The next packet of what came out of the queue; None if time stands still."""
        self._keep(self._on_time(popped.events))
        images = self._images + popped.images
        end_us = self._boundary(popped)
        if end_us is None:
            self._drop_oldest()
            self._images = images[-MAX_IMAGES:]
            return None
        events = self._take()
        n_complete = int(np.searchsorted(events["t_us"], end_us))
        self._keep(events[n_complete:].copy())
        self._images = tuple(image for image in images if image.t_us >= end_us)[-MAX_IMAGES:]
        self.n_delivered += n_complete
        self.end_us = end_us
        complete = tuple(image for image in images if image.t_us < end_us)
        return EventPacket(events[:n_complete], end_us, complete)

    def _keep(self, events: EventArray) -> None:
        if not len(events):
            return
        self._n_waiting += len(events)
        if self._waiting and len(self._waiting[-1]) + len(events) <= _SMALL_EVENTS:
            events = concatenated([self._waiting.pop(), events])
        self._waiting.append(events)

    def _take(self) -> EventArray:
        """All that waits, in one array."""
        pieces, self._waiting, self._n_waiting = self._waiting, deque(), 0
        if not pieces:
            return empty_events()
        return pieces[0] if len(pieces) == 1 else concatenated(pieces)

    def _drop_oldest(self) -> None:
        """Of more than ``MAX_WAITING`` events at one time."""
        while (excess := self._n_waiting - MAX_WAITING) > 0:
            oldest = self._waiting.popleft()
            if len(oldest) > excess:
                self._waiting.appendleft(oldest[excess:])
            n_dropped = min(excess, len(oldest))
            self.n_stuck += n_dropped
            self._n_waiting -= n_dropped

    def _on_time(self, events: EventArray) -> EventArray:
        """Without those that the watermark has already passed, which are counted."""
        if not len(events):
            return events
        self._seen_us = int(events["t_us"][-1])
        if self.end_us is None:
            return events
        n_behind = int(np.searchsorted(events["t_us"], self.end_us))
        self.n_behind += n_behind
        return events[n_behind:]

    def _boundary(self, popped: Popped) -> int | None:
        """The time up to which nothing more will come; None if that is not news."""
        bounds = []
        if popped.horizon_us is not None:
            bounds.append(popped.horizon_us)
            self._seen_us = max(popped.horizon_us, self._seen_us or popped.horizon_us)
        if self._waiting:
            bounds.append(int(self._waiting[-1]["t_us"][-1]) + int(popped.ended))
        if popped.drained and not popped.ended and not len(popped.events):
            silent_us = popped.silent_us - popped.arrived_us - self._silence_us
            if self._seen_us is not None and silent_us > 0 and self._clock_rate > 0:
                bounds.append(self._seen_us + int(silent_us * self._clock_rate))
        end_us = max(bounds, default=None)
        if end_us is None or (self.end_us is not None and end_us <= self.end_us):
            return None
        return end_us
