"""Cuts a stream of events into packets by the sensor's clock.

Packets end at multiples of ``packet_us``, and between two times where a window holds so many
events that copying them together would cost more than an extra packet. Memory: a window of at
most ``SMALL_EVENTS``, or the events of one time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from itertools import pairwise

import numpy as np

from streamvdib.errors import RecordingError
from streamvdib.events import EVENT_DTYPE, EventArray, EventPacket, TimedImage, empty_events
from streamvdib.sources.kernels import first_from, windows

SMALL_EVENTS = 1 << 14
MAX_EVENTS_AT_ONE_TIME = 1 << 24


def concatenated(pieces: Iterable[EventArray]) -> EventArray:
    """Arrays of events one after the other, copied as bytes: far faster than as records."""
    joined = bytearray().join([np.ascontiguousarray(piece).data for piece in pieces])
    events: EventArray = np.frombuffer(joined, EVENT_DTYPE)
    return events


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
        self._images: deque[Iterator[TimedImage]] = deque()  # of each block
        self._next_image: TimedImage | None = None  # the first of those not delivered

    def push(self, events: EventArray, images: Iterable[TimedImage] = ()) -> Iterator[EventPacket]:
        """Packets that ``events`` complete; the last window, or time, waits for what comes next.

        Args:
            events: in order of time; not earlier than those before but for repaired ones.
            images: no earlier than those before; taken one by one as their packets are made.
        """
        self._images.append(iter(images))
        if self._next_image is None:
            self._next_image = self._read_image()
        if len(events) and self._pending:
            events = yield from self._continue(events)
        if len(events) == 0:
            return
        first_ones, window_ends = windows(events, self._packet_us)
        starts, ends_us = first_ones.tolist(), window_ends.tolist()
        for (start, end), end_us in zip(pairwise(starts), ends_us, strict=False):
            if self._next_image is None or self._next_image.t_us >= end_us:
                self.delivered_us = end_us
                yield EventPacket(events[start:end], end_us)
                continue
            yield from self._image_packets(end_us - self._packet_us)
            yield self._packet(events[start:end], end_us)
        last = events[starts[-1] :]
        if len(last) > SMALL_EVENTS:
            last = yield from self._cut(last)
        self._keep(last)

    def flush(self) -> Iterator[EventPacket]:
        """The last packets; the very last ends just after the last event or image."""
        events = self._take_pending()
        if len(events):
            start_us = self._window_start(events)
            yield from self._image_packets(start_us)
            yield self._last_of_window(events, start_us)
        while self._next_image is not None:
            yield self._last_of_window(empty_events(), self._next_image.t_us)

    def _last_of_window(self, events: EventArray, t_us: int) -> EventPacket:
        """The packet of the window of ``t_us``; no longer than needed if it is the last one."""
        packet = self._packet(events, (t_us // self._packet_us + 1) * self._packet_us)
        if self._next_image is not None:
            return packet
        times = [image.t_us for image in packet.images]
        self.delivered_us = max([*times, *events["t_us"][-1:].tolist()]) + 1
        return EventPacket(events, self.delivered_us, packet.images)

    def _continue(self, events: EventArray) -> Generator[EventPacket, None, EventArray]:
        """Complete the pending window; gives the events that are left to be cut into windows."""
        last_us = int(self._pending[-1][-1]["t_us"])
        if events[0]["t_us"] < last_us:
            joined = concatenated([self._take_pending(), events])
            return joined[np.argsort(joined["t_us"], kind="stable")]
        end_us = (last_us // self._packet_us + 1) * self._packet_us
        n_window = first_from(events, 0, end_us) if events[0]["t_us"] < end_us else 0
        if self._n_pending + n_window <= SMALL_EVENTS:
            if n_window:
                self._keep(events[:n_window])
            if n_window < len(events):
                yield from self._image_packets(end_us - self._packet_us)
                yield self._packet(self._take_pending(), end_us)
            return events[n_window:]
        n_same = first_from(events, 0, last_us + 1) if events[0]["t_us"] == last_us else 0
        if n_same:
            self._keep(events[:n_same])
        if n_same < len(events):
            pending = self._take_pending()
            yield from self._image_packets(self._window_start(pending))
            yield self._packet(pending, last_us + 1)
        return events[n_same:]

    def _cut(self, events: EventArray) -> Generator[EventPacket, None, EventArray]:
        """Deliver all but the events of the last time; gives those."""
        last_us = int(events[-1]["t_us"])
        n_before = 0 if events[0]["t_us"] == last_us else first_from(events, 0, last_us)
        if n_before:
            yield from self._image_packets(self._window_start(events))
            yield self._packet(events[:n_before], last_us)
        return events[n_before:]

    def _window_start(self, events: EventArray) -> int:
        return int(events[0]["t_us"]) // self._packet_us * self._packet_us

    def _keep(self, events: EventArray) -> None:
        """Hold back events of one window."""
        self._pending.append(events)
        self._n_pending += len(events)
        if self._n_pending > MAX_EVENTS_AT_ONE_TIME:
            raise RecordingError(
                f"{self._name}: at most {MAX_EVENTS_AT_ONE_TIME} events may share one time; more "
                f"have t={events[-1]['t_us']} us. Check the unit of the times."
            )

    def _take_pending(self) -> EventArray:
        pieces, self._pending, self._n_pending = self._pending, [], 0
        if not pieces:
            return empty_events()
        return pieces[0] if len(pieces) == 1 else concatenated(pieces)

    def _image_packets(self, start_us: int) -> Iterator[EventPacket]:
        """Packets without events, for images of windows that end by ``start_us``."""
        while self._next_image is not None and self._next_image.t_us < start_us:
            end_us = (self._next_image.t_us // self._packet_us + 1) * self._packet_us
            yield self._packet(empty_events(), end_us)

    def _packet(self, events: EventArray, end_us: int) -> EventPacket:
        self.delivered_us = end_us
        if self._next_image is None or self._next_image.t_us >= end_us:
            return EventPacket(events, end_us)
        images = []
        while self._next_image is not None and self._next_image.t_us < end_us:
            images.append(self._next_image)
            self._next_image = self._read_image()
        return EventPacket(events, end_us, tuple(images))

    def _read_image(self) -> TimedImage | None:
        while self._images:
            image = next(self._images[0], None)
            if image is not None:
                return image
            self._images.popleft()
        return None
