"""Writes a session log beside the hot path: the step pays for a copy of the events, no more.

A *section* is an unbroken log. It begins with the engine's state; when the disk fails, the queue
is full or a file has reached its size, the section ends and ``needs_state`` asks the session to
begin another one, between packets. Nothing is ever logged that could not be repeated.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from streamvdib.checkpoints.file import encode
from streamvdib.checkpoints.fingerprint import fingerprint
from streamvdib.disk import Disk, RealDisk
from streamvdib.engine_state import EngineState
from streamvdib.errors import ConfigurationError, SinkError
from streamvdib.events import EventPacket
from streamvdib.input_steps import InputSteps
from streamvdib.session_log.digests import frame_bytes, step_checksums, steps_bytes
from streamvdib.session_log.files import LogFiles
from streamvdib.session_log.reader import log_files
from streamvdib.session_log.records import Kind, packet_bytes, table_bytes, target_bytes

if TYPE_CHECKING:
    from streamvdib.engine import Frame, Targets

_LOG = logging.getLogger(__name__)
DEFAULT_FILE_BYTES = 64 << 20
DEFAULT_FILES = 16
QUEUE_BYTES = 64 << 20
RETRY_S = 5.0
SYNC_S = 1.0
GATHER_S = 0.1  # records are gathered this long: a thread that wakes for each costs the step dear
GATHER_BYTES = 1 << 20


class _State(NamedTuple):
    """A state that waits; with ``start``, the payload of START, it begins a section."""

    state: EngineState
    start: bytes | None = None


_Item = bytes | _State  # a record is its kind and then its payload


class SessionLog:
    """The log of one session.

    Memory: ``queue_bytes`` of records. Disk: ``max_files`` files of about ``file_bytes``.

    Args:
        folder: made if its parent exists; new files continue the numbers that are there.
        file_bytes: a file of this size is followed by another.
        max_files: the oldest beyond these are deleted.
        queue_bytes: records that may wait for the disk.
        disk: where files go.
        clock: seconds that only go up.
        threaded: write in a thread; False writes at once, for simulations.

    Raises:
        SinkError: the folder cannot be used, or another log is written there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        file_bytes: int = DEFAULT_FILE_BYTES,
        max_files: int = DEFAULT_FILES,
        queue_bytes: int = QUEUE_BYTES,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.monotonic,
        threaded: bool = True,
    ) -> None:
        if min(file_bytes, max_files, queue_bytes) < 1:
            raise ConfigurationError(
                "a log requires file_bytes, max_files and queue_bytes of at least 1; "
                f"got {file_bytes}, {max_files}, {queue_bytes}"
            )
        self.folder, self.file_bytes, self.queue_bytes = Path(folder), file_bytes, queue_bytes
        self.n_broken = self.n_failed = 0
        self.last_error: str | None = None
        self._clock, disk = clock, disk or RealDisk()
        try:
            self._unlock: Callable[[], None] | None = disk.lock(self.folder)
            numbers = log_files(disk.names(self.folder))
        except OSError as error:
            raise SinkError(
                f"a log must have a folder of its own that can be written; {self.folder}: "
                f"{error.strerror or error}"
            ) from error
        self._files = LogFiles(self.folder, disk, max_files, max(numbers, default=0))
        self._n_waiting_bytes = 0
        self._in_section = self._closing = self._busy = self._hurried = False
        self._may_begin_s = self._synced_s = clock()
        self._queue: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        if threaded:
            self._thread = threading.Thread(target=self._work, name="session log", daemon=True)
            self._thread.start()

    @property
    def needs_state(self) -> bool:
        """Whether a new section must begin before anything else is logged."""
        return not self._in_section and self._clock() >= self._may_begin_s

    @property
    def counters(self) -> dict[str, int]:
        """What became of the records, by name, for metrics."""
        return {
            "log_records": self._files.n_records,
            "log_breaks": self.n_broken,
            "log_failures": self.n_failed,
        }

    def begin(self, about: Mapping[str, Any], state: EngineState) -> None:
        """Begin a section.

        Args:
            about: how the engine was made, plain values.
            state: all that it is now.
        """
        start = table_bytes({**about, "fingerprint": fingerprint()})
        with self._changed:
            self._in_section = True
            self._queue.append(_State(state, start))
        self._write_now()

    def packet(self, stream: int, packet: EventPacket) -> None:
        """What the engine is about to be given."""
        if self._in_section:
            self._put(Kind.PACKET, packet_bytes(stream, packet))

    def control(self, name: str, arguments: Mapping[str, Any]) -> None:
        """A command that was executed between packets."""
        if self._in_section:
            self._put(Kind.CONTROL, table_bytes({"name": name, "arguments": dict(arguments)}))

    def state(self, state: EngineState) -> None:
        """The engine was changed in a way of its own: the rerun goes on from this state."""
        with self._changed:
            if self._in_section:
                self._queue.append(_State(state))
        self._write_now()

    def target(self, end_us: int, target: npt.NDArray[np.float32] | None) -> None:
        """What the learner was given."""
        if self._in_section:
            self._put(Kind.TARGET, target_bytes(end_us, target))

    def observe(self, first_step: int, spikes: npt.NDArray[np.uint8]) -> None:
        """The readout's spikes of a chunk of steps, (n_steps, n_lanes, n_neurons)."""
        if self._in_section:
            self._put(Kind.STEPS, steps_bytes(first_step, step_checksums(spikes)))

    def frame(self, frame: Frame) -> None:
        """A frame that fell due."""
        if self._in_section:
            self._put(Kind.FRAME, frame_bytes(frame))

    def flush(self, timeout_s: float = 60.0) -> bool:
        """Wait until all is written or has failed; False: it took longer."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: not self._queue and not self._busy, timeout_s)
            self._hurried = False
            return done

    def end(self) -> None:
        """End the section in order; another engine may begin the next."""
        if self._in_section:
            self._put(Kind.END, b"")
            self._in_section = False

    def close(self, timeout_s: float = 60.0) -> None:
        """Write what waits and end the log in order; safe to call twice."""
        self.end()
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
        if self._unlock is not None:
            with suppress(OSError):  # what was written is there; only a loss of power could undo it
                self._files.sync()
            self._unlock()
            self._unlock = None

    def _put(self, kind: Kind, payload: bytes) -> None:
        record = bytes((kind,)) + payload
        with self._changed:
            if self._thread is not None and not self._thread.is_alive():
                self._break("the thread 'session log' has ended")
                return
            if self._n_waiting_bytes + len(record) > self.queue_bytes:
                self._break("the disk is too slow: the queue is full")
                return
            self._queue.append(record)
            self._n_waiting_bytes += len(record)
            if self._n_waiting_bytes > GATHER_BYTES:
                self._changed.notify_all()
        self._write_now()

    def _break(self, why: str) -> None:
        """End the section here; called with the lock held."""
        if self._in_section:
            self._in_section = False
            self.n_broken += 1
            self.last_error = why
            self._may_begin_s = self._clock() + RETRY_S
            _LOG.error("session log interrupted: %s", why)

    # The thread.

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._must_write, GATHER_S)
                if not self._queue and self._closing:
                    return
                items = list(self._queue)
                self._queue.clear()
                self._busy = True
            self._write(items)
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _must_write(self) -> bool:
        is_much = self._n_waiting_bytes > GATHER_BYTES
        return self._closing or (bool(self._queue) and (self._hurried or is_much))

    def _write_now(self) -> None:
        if self._thread is None:
            items = list(self._queue)
            self._queue.clear()
            self._write(items)

    def _write(self, items: list[_Item]) -> None:
        try:
            for item in items:
                if isinstance(item, bytes):
                    self._files.append(Kind(item[0]), item[1:])
                elif item.start is None:
                    self._files.append(Kind.STATE, encode(item.state, 0))
                else:
                    self._files.begin(item.start, encode(item.state, 0))
            if self._clock() - self._synced_s >= SYNC_S:
                self._synced_s = self._clock()
                self._files.sync()
        except Exception as error:  # whatever it is, decoding goes on without this log
            self._files.leave()
            with self._changed:
                self.n_failed += 1
                self._break(str(getattr(error, "strerror", None) or error))
        with self._changed:
            self._n_waiting_bytes = sum(len(i) for i in self._queue if isinstance(i, bytes))
            begins = any(isinstance(i, _State) and i.start is not None for i in self._queue)
            if self._files.n_bytes >= self.file_bytes and not begins:
                self._in_section = False  # the next packet begins the next file
                self._may_begin_s = self._clock()


class LoggedTargets:
    """Targets that are logged as they are given to the learner."""

    def __init__(self, targets: Targets, log: SessionLog) -> None:
        self._targets, self._log = targets, log

    def at(self, end_us: int) -> npt.NDArray[np.float32] | None:
        """See ``Targets``."""
        target = self._targets.at(end_us)
        self._log.target(end_us, target)
        return target


def observer_of(log: SessionLog) -> Callable[[InputSteps, npt.NDArray[np.uint8]], None]:
    """An engine's observer that logs the checksums of its steps, numbered as they come."""
    return lambda inputs, spikes: log.observe(inputs.first_step, spikes)
