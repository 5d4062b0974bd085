"""What keeps a service's engine safe besides snapshots: log, load shedding, watchdogs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamvdib.commands.watching import (
    Guardian,
    engine_policies,
    make_guardian,
    make_shedding,
    source_lag,
    source_policy,
)
from streamvdib.errors import ServiceError
from streamvdib.session import Session
from streamvdib.session_log import SessionLog

from .intake import Intake

if TYPE_CHECKING:
    from streamvdib.engine import Engine
    from streamvdib.events import EventPacket
    from streamvdib.shedding import Shedding
    from streamvdib.sources import EventSource


class Keeping:
    """Makes a session for each engine that a service has in turn; all write one log.

    Memory: that of the log, 64 MiB of records at most.

    Args:
        arguments: of ``serve``.
        sources: by stream; recordings wait for the engine, and where all are nothing is shed.
        learner: what a rerun must know to make the learner again.

    Attributes:
        failure: why the service must end; None while it need not.

    Raises:
        SinkError: the log's folder cannot be used.
    """

    def __init__(
        self,
        arguments: argparse.Namespace,
        sources: Mapping[str, EventSource],
        *,
        learner: Mapping[str, Any] | None,
    ) -> None:
        self.failure: ServiceError | None = None
        self._arguments, self._learner = arguments, learner
        self._is_live = any(source.is_live for source in sources.values())
        self._shedding: Shedding | None = None
        self.log = SessionLog(Path(arguments.session_log)) if arguments.session_log else None
        self._of_engine = make_guardian(arguments, self._memory_is_full, source_s=0.0)
        if self._of_engine is not None and self._is_live:
            self._of_engine.policies.update(engine_policies(lambda: self._shedding))
        self._of_sources = {
            name: Guardian(
                0, source_s=arguments.source_stall_s, policies=source_policy(source), name=name
            )
            for name, source in sources.items()
            if source.is_live and arguments.source_stall_s
        }
        if self._of_engine is not None:
            self._of_engine.begins(is_live=False)  # its packets come from a queue

    def session(self, engine: Engine) -> Session:
        """A session of one engine, which must not have made a step."""
        self._shedding = make_shedding(self._arguments, is_live=self._is_live)
        return Session(engine, log=self.log, shedding=self._shedding, learner=self._learner)

    def arrived(self, stream: str, packet: EventPacket) -> None:
        """A source gave a packet; called by the thread that reads it."""
        guardian = self._of_sources.get(stream)
        if guardian is not None:
            guardian.packet_comes(has_events=len(packet.events) > 0)
            guardian.packet_is_done()

    @contextmanager
    def watched(self, lag_s: float) -> Iterator[None]:
        """While the engine takes a packet, which is so far behind."""
        guardian = self._of_engine
        if guardian is None:
            yield
            return
        guardian.packet_comes(has_events=True, lag_s=lag_s)
        try:
            yield
        finally:
            guardian.packet_is_done()

    @property
    def counters(self) -> dict[str, int]:
        """How often each alarm was raised, by name, over all that is watched."""
        totals: dict[str, int] = {}
        for guardian in self._guardians():
            for name, count in guardian.counters.items():
                totals[name] = totals.get(name, 0) + count
        return totals

    def close(self) -> None:
        """Write what waits; safe to call twice."""
        for guardian in self._guardians():
            guardian.close()
        if self.log is not None:
            self.log.close()

    def _guardians(self) -> list[Guardian]:
        of_engine = [] if self._of_engine is None else [self._of_engine]
        return [*of_engine, *self._of_sources.values()]

    def _memory_is_full(self) -> None:
        self.failure = ServiceError(
            f"memory must stay below {self._arguments.memory_mb:g} MB (--memory-mb); it did not, "
            "whatever was given up. The service ends, to be started again"
        )


def lag_of(
    intakes: Mapping[str, Intake], sources: Mapping[str, EventSource]
) -> Callable[[str, int], float]:
    """How far the engine is behind the newest event, seconds, by stream and end of packet.

    What waits in the source and in the intake, both by the sensor's clock: a jump of the wall
    clock, or a sensor's clock that stands still or drifts, is no lag.
    """
    inside = {
        name: source_lag(source) or (lambda: 0.0)
        for name, source in sources.items()
        if source.is_live
    }

    def lag_s(stream: str, end_us: int) -> float:
        if stream not in inside:
            return 0.0  # a recording waits
        queued_us = max(0, intakes[stream].clock.newest_us - end_us)
        return queued_us / 1e6 + inside[stream]()

    return lag_s
