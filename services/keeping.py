"""What keeps a service's engine safe besides snapshots: the session's log and load shedding."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamvdib.commands.watching import Guardian
from streamvdib.session import Session
from streamvdib.session_log import SessionLog
from streamvdib.shedding import Bounds, Shedding

from .intake import Intake

if TYPE_CHECKING:
    from streamvdib.engine import Engine

SessionMaker = Callable[["Engine"], Session]


class Keeping:
    """Makes a session for each engine that a service has in turn; all write one log.

    Memory: that of the log, 64 MiB of records at most.

    Args:
        arguments: of ``serve``.
        is_live: whether any source is; recordings wait for the engine, and nothing is shed.
        learner: what a rerun must know to make the learner again.

    Raises:
        SinkError: the log's folder cannot be used.
    """

    def __init__(
        self, arguments: argparse.Namespace, *, is_live: bool, learner: Mapping[str, Any] | None
    ) -> None:
        self._learner = learner
        self._lag_s = arguments.shed_lag_ms / 1e3 if is_live else 0.0
        self.log = SessionLog(Path(arguments.session_log)) if arguments.session_log else None
        self._guardian = Guardian(arguments.memory_mb) if arguments.memory_mb else None

    def session(self, engine: Engine) -> Session:
        """A session of one engine, which must not have made a step."""
        shedding = Shedding(time.monotonic, Bounds(lag_s=self._lag_s)) if self._lag_s else None
        return Session(engine, log=self.log, shedding=shedding, learner=self._learner)

    def close(self) -> None:
        """Write what waits; safe to call twice."""
        if self._guardian is not None:
            self._guardian.close()
        if self.log is not None:
            self.log.close()


def lag_of(intakes: Mapping[str, Intake]) -> Callable[[str, int], float]:
    """How far behind the sensor's clock the engine is, seconds, by stream and end of packet."""

    def lag_s(stream: str, end_us: int) -> float:
        return (time.monotonic_ns() - intakes[stream].clock.due_ns(end_us)) / 1e9

    return lag_s
