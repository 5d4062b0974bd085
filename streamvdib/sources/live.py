"""A live source: one thread reads the device, a bounded queue, packets in order of time.

The thread opens the device, reads, places events on one timeline and pushes them; when the
connection breaks it counts, waits and tries again. The consumer's side cuts packets. The wall
clock is only the watermark of a silent scene: it never changes an event. A thread that a device
never lets return is abandoned when ``reconnect`` is asked for, and another takes its place.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from streamvdib.errors import ConfigurationError, LiveSourceError, StreamVdibError
from streamvdib.events import EventPacket, TimedImage, empty_events
from streamvdib.sources.clock import Clock, SystemClock
from streamvdib.sources.cutter import PacketCutter
from streamvdib.sources.device_thread import DeviceThread
from streamvdib.sources.feed import Feed
from streamvdib.sources.live_status import LiveStatus
from streamvdib.sources.queue import EventQueue
from streamvdib.sources.timeline import DEFAULT_MAX_GAP_US, Timeline, warm_up

MAX_READ_US = 100_000
MAX_ABANDONED = 8


@dataclass(frozen=True)
class LiveOptions:
    """How to treat a live device.

    Args:
        packet_us: a silent scene gives a packet this often, microseconds.
        capacity: events the queue holds before it drops the oldest.
        is_blocking: hold the writer up instead of dropping, as a pipe can.
        clock_rate: seconds of the sensor's clock per second of the wall clock, for the
            watermark of a silent scene: 1 for a camera, 0 for no watermark at all.
        silence_us: a scene is silent after this long without events, wall clock.
        max_gap_us: a jump ahead by more is a reset of the clock.
        first_retry_us: wait before the first attempt to reconnect; doubled up to last_retry_us.
        last_retry_us: the longest wait between attempts.
        connect_us: how long the very first connection may take before it is an error.
        hang_us: a device that has not answered a call for this long may be given up.
    """

    packet_us: int = 10_000
    capacity: int = 1 << 20
    is_blocking: bool = False
    clock_rate: float = 1.0
    silence_us: int = 50_000
    max_gap_us: int = DEFAULT_MAX_GAP_US
    first_retry_us: int = 100_000
    last_retry_us: int = 5_000_000
    connect_us: int = 5_000_000
    hang_us: int = 10_000_000

    def __post_init__(self) -> None:
        if self.packet_us < 1 or self.capacity < 1 or self.silence_us < 0 or self.clock_rate < 0:
            raise ConfigurationError(
                "a live source needs packet_us and capacity of at least 1, silence_us and "
                f"clock_rate of at least 0; got {self}"
            )


class LiveSource:
    """Events of one device as packets; goes on until the device ends or ``close`` is called.

    Memory: the queue (13 * capacity bytes) and one packet.
    """

    is_live = True

    def __init__(
        self, feed: Feed, options: LiveOptions | None = None, *, clock: Clock | None = None
    ) -> None:
        """Connect to ``feed``.

        Raises:
            LiveSourceError: nothing answered within ``connect_us``.
        """
        self._feed = feed
        self._options = options or LiveOptions()
        self._clock = clock or SystemClock()
        self._stop = threading.Event()
        self._reader = DeviceThread(self._read_all, self._clock, self._options.hang_us)
        self._failure: StreamVdibError | None = None
        self._is_connected = self._must_reconnect = False
        self._n_received = self._n_reconnections = 0
        self._reached: tuple[int, int] | None = None  # sensor time, and when it was read
        warm_up()
        self._connect_first()
        self.name = feed.name
        self.sensor_size = feed.sensor_size
        self._queue = EventQueue(self._options.capacity, blocking=self._options.is_blocking)
        self._timeline = Timeline(
            feed.sensor_size, time_bits=feed.time_bits, max_gap_us=self._options.max_gap_us
        )
        self._cutter = PacketCutter(
            silence_us=self._options.silence_us, clock_rate=self._options.clock_rate
        )
        self._rate_mark = (self._clock.now_us(), 0)

    @property
    def counters(self) -> dict[str, int]:
        """What was dropped, repaired or lost so far, by cause."""
        return {
            **self._timeline.counters,
            "behind_watermark": self._cutter.n_behind,
            "stuck_clock": self._cutter.n_stuck,
            "queue_dropped": self._queue.n_dropped,
            "images_dropped": self._queue.n_dropped_images,
            "reconnections": self._n_reconnections,
            "readers_abandoned": self._reader.n_abandoned,
            **self._feed.counters,
        }

    def status(self) -> LiveStatus:
        """A snapshot; its rate covers the time since the last one."""
        now_us, n_received, counters = self._clock.now_us(), self._n_received, self.counters
        before_us, n_before = self._rate_mark
        self._rate_mark = (now_us, n_received)
        newest_us, end_us = self._timeline.newest_us, self._cutter.end_us
        refused = ("late", "off_sensor", "clock_jump", "behind_watermark", "stuck_clock")
        return LiveStatus(
            name=self.name,
            is_connected=self._is_connected,
            n_received=n_received,
            n_delivered=self._cutter.n_delivered,
            n_dropped=counters["queue_dropped"],
            n_refused=sum(counters[name] for name in refused),
            n_held=self._queue.n_held + self._cutter.n_waiting,
            n_reconnections=self._n_reconnections,
            n_lost_upstream=sum(n for name, n in counters.items() if name.startswith("lost_")),
            rate_hz=(n_received - n_before) * 1e6 / max(1, now_us - before_us),
            queue_fill=self._queue.n_held / self._queue.capacity,
            lag_us=0 if newest_us is None else max(0, newest_us - (end_us or newest_us)),
        )

    def __iter__(self) -> Iterator[EventPacket]:
        """Packets as they become complete; iterating again goes on where it stopped."""
        self._start()
        while not self._stop.is_set():
            popped = self._queue.pop(timeout_s=self._options.packet_us / 1e6)
            packet = self._cutter.cut(popped)
            if packet is not None:
                yield packet
            if popped.ended:
                if self._failure is not None:
                    raise self._failure
                return

    def close(self) -> None:
        """Stop reading and disconnect; safe to call twice."""
        self._stop.set()
        self._queue.close()
        if self._reader.join(5.0):
            self._feed.close()

    def reconnect(self) -> None:
        """Have the reading thread close the device and open it again; returns at once.

        One that has hung in the device for ``hang_us`` is abandoned, and a new one goes on; after
        ``MAX_ABANDONED`` of them the source ends with an error.
        """
        self._must_reconnect = True
        if not self._reader.hangs or self._failure is not None:
            return
        if self._reader.n_abandoned < MAX_ABANDONED:
            self._is_connected = False
            self._reader.start(f"read {self.name}")
            return
        self._failure = LiveSourceError(
            f"{self.name}: the device must answer; {MAX_ABANDONED + 1} times a call did not come "
            f"back within {self._options.hang_us / 1e6:g} s. Look at the device."
        )
        self._queue.close()

    def _connect_first(self) -> None:
        """Open the device, trying again until ``connect_us`` have passed."""
        start_us = self._clock.now_us()
        wait_us = self._options.first_retry_us
        while True:
            try:
                self._feed.open()
            except LiveSourceError:
                self._feed.close()
                if self._clock.now_us() - start_us + wait_us > self._options.connect_us:
                    raise
                self._clock.sleep_us(wait_us)
                wait_us = min(2 * wait_us, self._options.last_retry_us)
            else:
                self._is_connected = True
                return

    # The thread.

    def _start(self) -> None:
        if not self._reader.is_started and not self._stop.is_set():
            self._reader.start(f"read {self.name}")

    def _goes_on(self) -> bool:
        """Whether the calling thread shall read on."""
        return self._reader.is_mine and not self._stop.is_set()

    def _read_all(self) -> None:
        """Read until the device ends or we are closed."""
        failure: StreamVdibError | None = None
        try:
            while self._goes_on() and self._read_once():
                pass
        except StreamVdibError as error:  # the consumer raises it
            failure = error
        except Exception as error:  # so that the consumer does not wait for ever
            failure = LiveSourceError(
                f"{self.name}: reading must go on; it stopped with {type(error).__name__}: {error}"
            )
            failure.__cause__ = error
        if self._reader.is_mine:
            self._failure, self._is_connected = self._failure or failure, False
            self._queue.close()

    def _read_once(self) -> bool:
        """Read one batch into the queue; False when the stream is over."""
        if self._must_reconnect:
            self._must_reconnect = False
            self._reconnect()
            return True
        listened_us = self._clock.now_us()
        timeout_s = min(self._options.packet_us, MAX_READ_US) / 1e6
        try:
            batch = self._reader.call(lambda: self._feed.read(timeout_s))
        except LiveSourceError:
            if self._goes_on():
                self._reconnect()
            return True
        if batch is None or not self._reader.is_mine:
            return False
        self._n_received += len(batch.events)
        events = self._timeline.admit(batch.events, resume_us=self._watermark_us(listened_us))
        arrived_us = self._clock.now_us() if len(events) else listened_us
        horizon_us = None if batch.end_us is None else self._timeline.place(batch.end_us)
        if len(events) or horizon_us is not None:
            self._reached = (max(self._timeline.newest_us or 0, horizon_us or 0), arrived_us)
        shift_us = self._timeline.shift_us
        images = tuple(TimedImage(one.t_us + shift_us, one.pixels) for one in batch.images)
        self._queue.push(events, arrived_us=arrived_us, horizon_us=horizon_us, images=images)
        return True

    def _watermark_us(self, now_us: int) -> int | None:
        """How far the consumer's side may have moved time on; None before the first event."""
        if self._reached is None:
            return None
        reached_us, arrived_us = self._reached
        silent_us = max(0, now_us - arrived_us - self._options.silence_us)
        return reached_us + int(silent_us * self._options.clock_rate)

    def _reconnect(self) -> None:
        """Close and open until it works; meanwhile the watermark keeps time going."""
        self._is_connected = False
        self._reader.call(self._feed.close)
        wait_us = self._options.first_retry_us
        while self._goes_on():
            self._wait_disconnected(wait_us)
            wait_us = min(2 * wait_us, self._options.last_retry_us)
            try:
                self._reader.call(self._feed.open)
            except LiveSourceError:
                if self._reader.is_mine:
                    self._reader.call(self._feed.close)
                continue
            if not self._reader.is_mine:
                return
            self._is_connected = True
            self._n_reconnections += 1
            self._timeline.reconnected()
            return

    def _wait_disconnected(self, wait_us: int) -> None:
        """Wait, while the watermark goes on as on a silent scene."""
        until_us = self._clock.now_us() + wait_us
        while self._goes_on() and (now_us := self._clock.now_us()) < until_us:
            self._queue.push(empty_events(), arrived_us=now_us)
            self._clock.sleep_us(min(self._options.packet_us, MAX_READ_US, until_us - now_us))
