"""Writes checkpoints beside the hot path: the step pays for a copy of the tensors, no more."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

from streamvdib.checkpoints.folder import Checkpoints
from streamvdib.checkpoints.position import Position
from streamvdib.engine_state import EngineState
from streamvdib.errors import CheckpointError

_LOG = logging.getLogger(__name__)


class _Job(NamedTuple):
    state: EngineState
    position: Position | None
    extra: Mapping[str, Any] | None


class CheckpointWriter:
    """A thread that writes the newest state that it was given.

    A state that comes while one is being written waits; one that comes while another waits takes
    its place, which is counted as ``n_skipped``. A write that fails is counted and logged, and the
    run goes on.

    Memory: two states.

    Args:
        checkpoints: where to write.
        every_s: seconds between checkpoints, for ``is_due``; 0: always due.
        clock: seconds that only go up.
        threaded: write in a thread; False writes at once, for simulations.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        *,
        every_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        threaded: bool = True,
    ) -> None:
        self.checkpoints, self.every_s = checkpoints, every_s
        self.n_written = self.n_failed = self.n_skipped = 0
        self.last_error: str | None = None  # of the last write; None where it went well
        self.last_generation: int | None = None
        self._clock = clock
        self._due_s = clock() + every_s
        self._waiting: _Job | None = None
        self._busy = self._closing = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        if threaded:
            self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
            self._thread.start()

    @property
    def is_due(self) -> bool:
        """Whether ``every_s`` seconds have passed since the last state was handed over."""
        return self._clock() >= self._due_s

    @property
    def is_closed(self) -> bool:
        """Whether it takes no more states."""
        return self._closing

    @property
    def counters(self) -> dict[str, int]:
        """What became of the states, by name, for metrics."""
        return {
            "checkpoints_written": self.n_written,
            "checkpoints_failed": self.n_failed,
            "checkpoints_skipped": self.n_skipped,
        }

    def submit(
        self,
        state: EngineState,
        position: Position | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Hand a state over; never waits for the disk.

        Raises:
            CheckpointError: the writer is closed, or its thread has died.
        """
        self._due_s = self._clock() + self.every_s
        with self._changed:
            if self._closing or (self._thread is not None and not self._thread.is_alive()):
                raise CheckpointError(
                    "a checkpoint needs its writer; the thread 'checkpoints' has ended "
                    f"({self.last_error or 'closed'}). Make a new CheckpointWriter."
                )
            job = _Job(state, position, extra)
            if self._thread is None:
                self._write(job)
                return
            self.n_skipped += self._waiting is not None
            self._waiting = job
            self._changed.notify_all()

    def flush(self, timeout_s: float = 60.0) -> bool:
        """Wait until all that was handed over is written or has failed; False: it took longer."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._waiting is None and not self._busy, timeout_s
            )

    def close(self, timeout_s: float = 60.0) -> None:
        """Write what waits, then end the thread; safe to call twice."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or self._closing)
                job, self._waiting = self._waiting, None
                if job is None:
                    return
                self._busy = True
            self._write(job)
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _write(self, job: _Job) -> None:
        try:
            self.last_generation = self.checkpoints.write(*job)
        except Exception as error:  # whatever it is, the run goes on without this checkpoint
            self.n_failed += 1
            self.last_error = str(error) or type(error).__name__
            _LOG.error("checkpoint failed: %s", self.last_error)
        else:
            self.n_written += 1
            self.last_error = None
