"""A source read by a thread of its own into a bounded queue.

A recording waits when the queue is full. A live source does not wait: the oldest packet gives
way, its end is kept by the packets after it, and its events are counted.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from streamvdib.events import EventPacket

from .clocks import SensorClock


class PacketSource(Protocol):
    """What the service needs of an event source: iterating blocks; closing ends it."""

    def __iter__(self) -> Iterable[EventPacket]:
        """Iterate over packets in order of time."""
        ...

    def close(self) -> None:
        """Release what it holds; safe to call twice and from another thread."""
        ...


@dataclass(frozen=True)
class Arrival:
    """A packet and the moment at which it came."""

    packet: EventPacket
    arrival_ns: int  # monotonic clock


class Intake:
    """Reads one source. Memory: ``capacity`` packets.

    Args:
        source: iterated in the reading thread.
        is_live: drop the oldest packet when full; otherwise the source waits.
        clock: told of every arrival.
        on_arrival: given every packet as it comes, in the reading thread (the watchdog).
        capacity: packets that may wait.
    """

    def __init__(
        self,
        source: Iterable[EventPacket],
        *,
        is_live: bool,
        clock: SensorClock | None = None,
        on_arrival: Callable[[EventPacket], None] | None = None,
        capacity: int = 64,
    ) -> None:
        self._source = source
        self._on_arrival = on_arrival
        self._is_live = is_live
        self.clock = clock or SensorClock()
        self._capacity = capacity
        self._packets: collections.deque[Arrival] = collections.deque()
        self._changed = threading.Condition()
        self._arrived = threading.Event()
        self._stopping = False
        self.has_ended = False
        self.error: BaseException | None = None
        self.n_dropped_events = 0
        self.n_dropped_packets = 0
        self._thread = threading.Thread(target=self._read, name="intake", daemon=True)

    @property
    def n_waiting(self) -> int:
        """Packets in the queue."""
        return len(self._packets)

    @property
    def state(self) -> str:
        """``running``, ``ended`` or ``failed``."""
        if self.error is not None:
            return "failed"
        return "ended" if self.has_ended else "running"

    def start(self, arrived: threading.Event | None = None) -> None:
        """Begin to read; ``arrived`` is set at every packet and at the end."""
        self._arrived = arrived or threading.Event()
        self._thread.start()

    def take(self) -> Arrival | None:
        """The next packet, or None if none waits."""
        with self._changed:
            if not self._packets:
                return None
            arrival = self._packets.popleft()
            self._changed.notify_all()
            return arrival

    @property
    def is_exhausted(self) -> bool:
        """Whether the source has ended and everything was taken."""
        return self.has_ended and not self._packets

    def stop(self) -> None:
        """Take nothing more from the source; what waits may still be taken."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    def _read(self) -> None:
        try:
            for packet in self._source:
                arrival = Arrival(packet, time.monotonic_ns())
                self.clock.arrived(packet.end_us, arrival.arrival_ns)
                if self._on_arrival is not None:
                    self._on_arrival(packet)
                if not self._offer(arrival):
                    break
        except BaseException as error:  # handed to the engine's thread, which ends the service
            if not self._stopping:
                self.error = error
        finally:
            with self._changed:
                self.has_ended = True
            self._arrived.set()

    def _offer(self, arrival: Arrival) -> bool:
        """Queue one packet; False once the intake is stopping."""
        with self._changed:
            while not self._is_live and len(self._packets) >= self._capacity:
                if self._stopping:
                    return False
                self._changed.wait(0.1)
            if len(self._packets) >= self._capacity:
                lost = self._packets.popleft()
                self.n_dropped_packets += 1
                self.n_dropped_events += len(lost.packet.events)
            self._packets.append(arrival)
            self._arrived.set()
            return not self._stopping
