"""Writes the events that are being decoded to a file, beside decoding and never in its way.

A thread of its own takes packets from a bounded queue, writes them and forces them to the disk
every second, so that a crash or ``kill -9`` loses at most the last second; what it leaves of a torn
write is told by the readers, after the whole events before it. When the disk cannot keep up, the
oldest waiting events are dropped and counted. When the disk refuses, recording ends, the error is
kept for the caller to show, and decoding goes on.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from streamvdib.errors import StreamVdibError
from streamvdib.events import EventPacket, SensorSize
from streamvdib.sources import EventSource
from streamvdib.sources.clock import Clock, SystemClock
from streamvdib.sources.queue import EventQueue

from .writers import EventWriter, open_writer

FLUSH_US = 1_000_000
DEFAULT_CAPACITY = 1 << 22
_POP_S = 0.1
RELATIVE = (".es", ".raw", ".bin")
"""Formats without room for absolute times: the first event is at zero."""


@dataclass(frozen=True)
class RecorderStatus:
    """How a recording is doing. Always ``n_given == n_written + n_dropped + n_waiting``."""

    path: str
    n_given: int
    n_written: int
    n_dropped: int  # the disk was too slow, or refused
    n_waiting: int
    error: StreamVdibError | None  # recording has ended, decoding need not

    def __str__(self) -> str:
        state = "" if self.error is None else f"; STOPPED: {self.error}"
        return (
            f"{self.path}: {self.n_written} events written, {self.n_dropped} dropped, "
            f"{self.n_waiting} waiting{state}"
        )


class Recorder:
    """Records packets. Memory: 13 * capacity bytes and what the writer needs for one packet."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        sensor_size: SensorSize,
        *,
        capacity: int = DEFAULT_CAPACITY,
        clock: Clock | None = None,
        writer: EventWriter | None = None,
    ) -> None:
        """Create the file and start.

        Args:
            path: its suffix is the format; all are good up to the last flush whatever happens,
                and .npy is then read with ``lenient``. Those in ``RELATIVE`` begin at time zero.
            sensor_size: of the events.
            capacity: events that may wait for the disk.
            clock: says when a second is over.
            writer: instead of one for ``path``.

        Raises:
            SinkError: the file cannot be created, or another writer has it.
            ConfigurationError: no format has that suffix.
        """
        self._path = os.fspath(path)
        origin_us = None if Path(path).suffix.lower() in RELATIVE else 0
        self._writer = writer or open_writer(path, sensor_size, origin_us=origin_us)
        self._queue = EventQueue(capacity)
        self._clock = clock or SystemClock()
        self._error: StreamVdibError | None = None
        self._n_refused = 0
        self._thread = threading.Thread(
            target=self._write_all, name=f"record {self._path}", daemon=True
        )
        self._thread.start()

    def push(self, packet: EventPacket) -> None:
        """Hand over one packet; returns at once."""
        self._queue.push(packet.events, arrived_us=0, horizon_us=packet.end_us)

    def status(self) -> RecorderStatus:
        """A snapshot; ``error`` is set once the disk has refused."""
        queue = self._queue
        return RecorderStatus(
            path=self._path,
            n_given=queue.n_pushed,
            n_written=self._writer.n_events,
            n_dropped=queue.n_dropped + self._n_refused,
            n_waiting=queue.n_pushed - self._writer.n_events - queue.n_dropped - self._n_refused,
            error=self._error,
        )

    @property
    def has_failed(self) -> bool:
        """Whether the disk has refused."""
        return self._error is not None

    def close(self) -> None:
        """Write what is waiting and complete the file; safe to call twice.

        An error of the disk is in ``status().error``, not raised: decoding has gone well.
        """
        self._queue.close()
        self._thread.join()

    def _write_all(self) -> None:
        """The thread."""
        flushed_us = self._clock.now_us()
        end_us = 0
        while True:
            popped = self._queue.pop(timeout_s=_POP_S)
            if len(popped.events) or popped.horizon_us is not None:
                # More events of the last time may follow in the next piece of a packet.
                last_us = int(popped.events["t_us"][-1]) if len(popped.events) else end_us
                end_us = max(end_us, last_us, popped.horizon_us or last_us)
                self._write(EventPacket(popped.events, end_us))
            if self._clock.now_us() - flushed_us >= FLUSH_US or popped.ended:
                self._attempt(self._writer.flush)
                flushed_us = self._clock.now_us()
            if popped.ended:
                self._attempt(self._writer.close)
                return

    def _write(self, packet: EventPacket) -> None:
        if self._error is None:
            try:
                self._writer.write(packet)
                return
            except StreamVdibError as error:
                self._error = error
        self._n_refused += len(packet.events)

    def _attempt(self, action: Callable[[], None]) -> None:
        """Flush or close; an error is kept, the first one if there are several."""
        try:
            action()
        except StreamVdibError as error:
            self._error = self._error or error


def free_name(path: str | os.PathLike[str]) -> Path:
    """``path``, or the first of ``street-2.es``, ``street-3.es`` ... if it holds something already.

    So neither what an earlier run recorded is lost, nor the recording that is being decoded.
    """
    first = file = Path(path)
    number = 1
    while file.is_file() and file.stat().st_size > 0:
        number += 1
        file = first.with_stem(f"{first.stem}-{number}")
    return file


class RecordedSource:
    """Another source whose packets are recorded as they pass. Memory: the recorder's."""

    def __init__(
        self, source: EventSource, recorder: Recorder, *, tell: Callable[[str], None] | None = None
    ) -> None:
        """Record what ``source`` gives; both are closed with this.

        Args:
            source: goes on whatever happens to the recording.
            recorder: of the same sensor.
            tell: is told once, when the recording fails; a line on standard error without it.
        """
        self.recorder = recorder
        self.sensor_size = source.sensor_size
        self.is_live = source.is_live
        self.name = source.name
        self.source = source
        self._tell = tell or _tell_on_standard_error
        self._has_told = False

    @property
    def counters(self) -> dict[str, int]:
        """Those of the source, and what the recording lost."""
        return {**self.source.counters, "record_dropped": self.recorder.status().n_dropped}

    def __iter__(self) -> Iterator[EventPacket]:
        """The source's packets."""
        for packet in self.source:
            self.recorder.push(packet)
            self._tell_of_failure()
            yield packet

    def close(self) -> None:
        """Close the source, then complete the file."""
        self.source.close()
        self.recorder.close()
        self._tell_of_failure()

    def _tell_of_failure(self) -> None:
        if not self._has_told and self.recorder.has_failed:
            self._has_told = True
            self._tell(str(self.recorder.status()))


def _tell_on_standard_error(line: str) -> None:
    sys.stderr.write(f"streamvdib: {line}\n")
