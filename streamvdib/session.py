"""An engine with what keeps it safe: checkpoints, the log of the session, load shedding.

    session.advance(packet)      log what came -> engine -> log what came out -> checkpoint if due

Used from one thread. Everything that costs time happens in other threads; a step pays for copies.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from streamvdib.checkpoints import CheckpointWriter, Position
from streamvdib.engine import Engine, Frame
from streamvdib.engine_description import describe_engine
from streamvdib.errors import CheckpointError
from streamvdib.events import EventPacket
from streamvdib.session_log import LoggedTargets, SessionLog
from streamvdib.session_log.controls import CONTROLS, apply_control
from streamvdib.session_log.writer import observer_of
from streamvdib.shedding import Shedding

_LOG = logging.getLogger(__name__)
WARM_UP_PACKETS = 100  # then what lives is frozen: the garbage collector need not look at it again


class Session:
    """Streams packets through an engine, and keeps what must not be lost.

    Memory: that of its parts.

    Args:
        engine: what is kept safe.
        checkpoints: writes states when they are due; None: none are written.
        log: what the outside did; None: nothing is logged.
        shedding: what is given up when the machine is too slow; None: nothing is.
        position: where the first source is; one is counted per stream.
        learner: what a rerun must know to make the learner again, plain values.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        checkpoints: CheckpointWriter | None = None,
        log: SessionLog | None = None,
        shedding: Shedding | None = None,
        position: Position | None = None,
        learner: Mapping[str, Any] | None = None,
    ) -> None:
        self.engine, self.checkpoints, self.log = engine, checkpoints, log
        self.shedding = shedding
        self.positions = [position or Position()] * engine.n_streams
        self._about_learner = learner
        self._is_finished = False
        self._n_packets = 0
        if log is not None:
            engine.observers.append(observer_of(log))
            if engine.targets is not None:
                engine.targets = LoggedTargets(engine.targets, log)

    @property
    def counters(self) -> dict[str, int]:
        """What checkpoints, log and shedding count, by name, for metrics."""
        parts = (self.checkpoints, self.log, self.shedding)
        return {k: v for part in parts if part is not None for k, v in part.counters.items()}

    def advance(self, packet: EventPacket, stream: int = 0) -> list[Frame]:
        """Push a packet of one stream; return the frames that fell due, in order."""
        if self.shedding is not None and self.shedding.applies(self.engine):
            self.changed("shedding", {"level": self.shedding.level.name})
        if self.log is not None:
            if self.log.needs_state:
                self.log.begin(
                    describe_engine(self.engine, self._about_learner), self.engine.snapshot()
                )
            self.log.packet(stream, packet)
        try:
            frames = self.engine.advance(packet, stream)
        except BaseException:
            self._is_finished = True  # half of the packet is in: this state must not be saved
            raise
        if self.log is not None:
            for frame in frames:
                self.log.frame(frame)
        self.positions[stream] = self.positions[stream].after(packet)
        self._n_packets += 1
        if self._n_packets == WARM_UP_PACKETS:
            gc.freeze()
        if self.checkpoints is not None and self.checkpoints.is_due:
            self.save()
        return frames

    def control(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Execute a command of ``CONTROLS`` between packets, and log it."""
        if name == "decode_every" and self.shedding is not None:
            arguments = {"steps": self.shedding.decode_every(arguments["steps"])}
        apply_control(self.engine, name, arguments)
        if self.log is not None:
            self.log.control(name, arguments)

    def changed(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Log that the engine was changed from outside, between packets, with what it is now."""
        if self.log is not None:
            self.log.control(name, arguments)
            if name not in CONTROLS:
                self.log.state(self.engine.snapshot())

    def save(self) -> None:
        """Hand a checkpoint to the writer; a failure is counted and logged, no more."""
        if self.checkpoints is None or self.checkpoints.is_closed:
            return
        try:
            self.checkpoints.submit(self.engine.snapshot(), self.positions[0])
        except CheckpointError as error:
            _LOG.error("no checkpoint: %s", error)

    def finish(self) -> None:
        """Hand over a last checkpoint, and end the log's section; safe to call twice."""
        if not self._is_finished:
            self._is_finished = True
            self.save()
            if self._n_packets >= WARM_UP_PACKETS:
                gc.unfreeze()  # what only this session needed may go
        if self.log is not None:
            self.log.end()

    def close(self) -> None:
        """Finish, and close writer and log; safe to call twice."""
        self.finish()
        if self.checkpoints is not None:
            self.checkpoints.close()
        if self.log is not None:
            self.log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
