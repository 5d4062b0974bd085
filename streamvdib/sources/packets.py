"""Cuts a stream of events into packets by the sensor's clock.

Packet boundaries are multiples of ``packet_us``, so they do not depend on how the events
arrive. Memory: the events of one window, and at most ``MAX_PENDING_EVENTS`` before it is cut
early, between two times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from streamvdib.errors import RecordingError
from streamvdib.events import EventArray, EventPacket, TimedImage, empty_events
from streamvdib.sources.kernels import windows

MAX_PENDING_EVENTS = 1 << 20
MAX_EVENTS_AT_ONE_TIME = 1 << 24


class Packetiser:
    """Events in order of time in, packets out.

    Args:
        packet_us: a packet's length, microseconds.
        name: for messages.
    """

    def __init__(self, packet_us: int, name: str) -> None:
        self.delivered_us: int | None = None  # the end of the last packet
        self._packet_us = packet_us
        self._name = name
        self._pending: list[EventArray] = []  # of one window
        self._n_pending = 0
        self._pending_end_us = 0
        self._images: list[TimedImage] = []

    def push(self, events: EventArray, images: Sequence[TimedImage] = ()) -> Iterator[EventPacket]:
        """Packets that ``events`` complete; the last window waits for what comes next."""
        self._images.extend(images)
        if len(events) == 0:
            return
        if self._pending:
            if self._continues_window(events):
                self._keep(events, self._pending_end_us)
                return
            events = self._join(events)
        starts, ends_us = (column.tolist() for column in windows(events, self._packet_us))
        for (start, end), end_us in zip(pairwise(starts), ends_us, strict=False):
            if self._images:
                yield from self._image_packets(end_us - self._packet_us)
            yield self._packet(events[start:end], end_us)
        self._keep(events[starts[-1] :], ends_us[-1])
        if self._n_pending > MAX_PENDING_EVENTS:
            yield from self._cut_early()

    def flush(self) -> Iterator[EventPacket]:
        """The last packet, which ends just after the last event or image."""
        events = self._take_pending()
        times = [image.t_us for image in self._images]
        if len(events):
            times.append(int(events[-1]["t_us"]))
        if times:
            if len(events):
                yield from self._image_packets(self._pending_end_us - self._packet_us)
            yield self._packet(events, max(times) + 1)

    def _continues_window(self, events: EventArray) -> bool:
        """Whether all of ``events`` belong to the pending window, after what is there."""
        return bool(
            self._n_pending + len(events) <= MAX_PENDING_EVENTS
            and events[0]["t_us"] >= self._pending[-1][-1]["t_us"]
            and events[-1]["t_us"] < self._pending_end_us
        )

    def _join(self, events: EventArray) -> EventArray:
        """Pending events and new ones, in order of time; repaired ones may belong before."""
        in_order = events[0]["t_us"] >= self._pending[-1][-1]["t_us"]
        joined = np.concatenate([*self._pending, events])
        self._pending, self._n_pending = [], 0
        return joined if in_order else joined[np.argsort(joined["t_us"], kind="stable")]

    def _keep(self, events: EventArray, end_us: int) -> None:
        """Hold back events of the window that ends at ``end_us``."""
        self._pending.append(events)
        self._n_pending += len(events)
        self._pending_end_us = end_us

    def _take_pending(self) -> EventArray:
        pieces, self._pending, self._n_pending = self._pending, [], 0
        if not pieces:
            return empty_events()
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _cut_early(self) -> Iterator[EventPacket]:
        """Deliver all but the events of the last time, so that memory stays bounded."""
        events = self._take_pending()
        last_us = int(events[-1]["t_us"])
        n_before = int(np.searchsorted(events["t_us"], last_us))
        if len(events) - n_before > MAX_EVENTS_AT_ONE_TIME:
            raise RecordingError(
                f"{self._name}: at most {MAX_EVENTS_AT_ONE_TIME} events may share one time; more "
                f"have t={last_us} us. Check the unit of the times."
            )
        if n_before:
            yield from self._image_packets(self._pending_end_us - self._packet_us)
            yield self._packet(events[:n_before], last_us)
        self._keep(events[n_before:].copy(), self._pending_end_us)

    def _image_packets(self, start_us: int) -> Iterator[EventPacket]:
        """Packets without events, for images of windows that end by ``start_us``."""
        while self._images and self._images[0].t_us < start_us:
            end_us = (self._images[0].t_us // self._packet_us + 1) * self._packet_us
            yield self._packet(empty_events(), end_us)

    def _packet(self, events: EventArray, end_us: int) -> EventPacket:
        self.delivered_us = end_us
        if not self._images:
            return EventPacket(events, end_us)
        n_images = 0
        while n_images < len(self._images) and self._images[n_images].t_us < end_us:
            n_images += 1
        images, self._images = tuple(self._images[:n_images]), self._images[n_images:]
        return EventPacket(events, end_us, images)
