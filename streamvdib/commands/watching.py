"""A thread that watches a run: source, decoder, lag and memory, each with its policy.

source     no event for so long      reconnect, again after each such time
decoder    a packet takes so long    the heartbeat stops, for a supervisor to restart; if the
                                     engine comes back it gives up frames first, then more
lag        past its bound            shown and counted; load shedding answers it
memory     past its bound            a live source gives up frames, then steps, then lanes; where
                                     that is not enough the run ends as by SIGTERM
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from streamvdib.watchdog import Limits, Vitals, Watchdog

if TYPE_CHECKING:
    from streamvdib.shedding import Shedding
    from streamvdib.sources import EventSource
    from streamvdib.sources.live_status import LiveStatus

LOOK_S = 0.5
RELIEF_S = 2.0  # what was given up gets this long to help
N_RELIEFS = 3  # frames, steps, lanes
Policy = Callable[[str], object]


class Guardian:
    """Watches what one streaming thread says of itself. Memory: a few numbers.

    Args:
        memory_mb: resident memory, units of 2^20 bytes; 0 watches nothing, here and below.
        source_s: seconds without an event.
        decoder_s: seconds that one packet may take.
        lag_s: seconds behind the sensor.
        policies: what is done at an alarm, by its name, in the watching thread. That for "memory"
            is asked for relief every ``RELIEF_S``, ``N_RELIEFS`` times.
        end: called once, where memory stays past its bound after that, or has no policy.
        name: of the watching thread.
        clock: seconds that only go up.
    """

    def __init__(
        self,
        memory_mb: float,
        *,
        source_s: float = 0.0,
        decoder_s: float = 0.0,
        lag_s: float = 0.0,
        policies: Mapping[str, Policy] | None = None,
        end: Callable[[], object] | None = None,
        name: str = "engine",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        limits = Limits(source_s, decoder_s, lag_s, memory_mb)
        self.vitals = Vitals(packet_s=clock())
        self.policies: dict[str, Policy] = dict(policies or {})
        self.watchdog = Watchdog(self.vitals, limits, clock, policies=self.policies)
        self._clock, self._is_live, self._end = clock, True, end or _end_process
        self._n_reliefs, self._relief_s, self._is_ending = 0, 0.0, False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"watch {name}", daemon=True)
        self._thread.start()

    @property
    def counters(self) -> dict[str, int]:
        """How often each alarm was raised, by name, for tables and metrics."""
        return self.watchdog.counters

    def begins(self, *, is_live: bool) -> None:
        """A source begins; only a live one can stall, a recording blocks or ends."""
        self._is_live = is_live
        self.vitals.packet_s = self._clock() if is_live else math.inf
        self.vitals.began_s = None

    def packet_comes(self, *, has_events: bool, lag_s: float = 0.0) -> None:
        """A packet is given to the engine."""
        now_s, vitals = self._clock(), self.vitals
        if has_events and self._is_live:
            vitals.packet_s = now_s
        vitals.began_s, vitals.lag_s = now_s, lag_s

    def packet_is_done(self) -> None:
        """The engine has taken it."""
        self.vitals.began_s = None

    def rest(self) -> None:
        """Nothing is waited for any more: the source has ended."""
        self.vitals.packet_s, self.vitals.began_s = math.inf, None

    def close(self) -> None:
        """Stop watching; safe to call twice."""
        self._stopping.set()
        self._thread.join(5.0)

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_S):
            self.look()

    def look(self) -> None:
        """Look once; a source that stays silent is connected anew after each ``source_s``."""
        stands = self.watchdog.check()
        if "source" in stands:
            self.vitals.packet_s = self._clock()
        if "memory" in stands:
            self._relieve(self._clock())
        else:
            self._n_reliefs = 0

    def _relieve(self, now_s: float) -> None:
        """Have less decoded as long as that may help, then end."""
        if self._is_ending or (self._n_reliefs and now_s - self._relief_s < RELIEF_S):
            return
        if self._n_reliefs:  # the watchdog asked the first time, when it raised the alarm
            self.policies.get("memory", _nothing)("memory")
        self._n_reliefs, self._relief_s = self._n_reliefs + 1, now_s
        if "memory" not in self.policies or self._n_reliefs > N_RELIEFS:
            self._is_ending = True
            self._end()


def make_guardian(
    arguments: argparse.Namespace,
    end: Callable[[], object] | None = None,
    *,
    source_s: float,
) -> Guardian | None:
    """One for an engine's thread, if any option asks for it; its source may be silent so long."""
    given = arguments
    if not any((given.memory_mb, source_s, given.decoder_stall_s, given.shed_lag_ms)):
        return None
    return Guardian(
        given.memory_mb,
        source_s=source_s,
        decoder_s=given.decoder_stall_s,
        lag_s=given.shed_lag_ms / 1e3,
        end=end,
    )


def make_shedding(arguments: argparse.Namespace, *, is_live: bool) -> Shedding | None:
    """Load shedding if any option asks for it; a recording waits, and nothing is given up.

    Without ``--shed-lag-ms`` no lag is too long: only a watchdog asks to give up more.
    """
    given = arguments
    if not is_live or not (given.shed_lag_ms or given.decoder_stall_s or given.memory_mb):
        return None
    from streamvdib.shedding import Bounds, Shedding

    bound_s = given.shed_lag_ms / 1e3 if given.shed_lag_ms else math.inf
    return Shedding(time.monotonic, Bounds(lag_s=bound_s))


def source_lag(source: EventSource) -> Callable[[], float] | None:
    """How far what a live source delivered is behind its newest event, seconds of its clock."""
    from streamvdib.sources.source import innermost

    status: Callable[[], LiveStatus] | None = getattr(innermost(source), "status", None)
    return None if status is None else lambda: status().lag_us / 1e6


def source_policy(source: EventSource) -> dict[str, Policy]:
    """What a stalled source is answered with, under its alarm's name."""
    from streamvdib.sources.source import innermost

    reconnect = getattr(innermost(source), "reconnect", None)
    return {} if reconnect is None else {"source": lambda _: reconnect()}


def engine_policies(shedding: Callable[[], Shedding | None]) -> dict[str, Policy]:
    """What a stalled engine and full memory are answered with: less is decoded."""

    def ask(_name: str) -> None:
        found = shedding()
        if found is not None:
            found.ask()

    return {"decoder": ask, "memory": ask}


def _end_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _nothing(_name: str) -> None:
    """No policy."""
