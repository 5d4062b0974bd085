"""A thread that watches a run: source, decoder, lag and memory, each with its policy.

source     no event for so long      reconnect, again after each such time
decoder    a packet takes so long    the heartbeat stops, for a supervisor to restart; if the
                                     engine comes back it gives up frames first, then more
lag        past its bound            shown and counted; load shedding answers it
memory     past its bound            the run ends as by SIGTERM, with a checkpoint
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping

from streamvdib.watchdog import Limits, Vitals, Watchdog

LOOK_S = 0.5
Policy = Callable[[str], object]


class Guardian:
    """Watches what one streaming thread says of itself. Memory: a few numbers.

    Args:
        memory_mb: resident memory, units of 2^20 bytes; 0 watches nothing, here and below.
        source_s: seconds without an event.
        decoder_s: seconds that one packet may take.
        lag_s: seconds behind the sensor.
        policies: what is done at an alarm, by its name, in the watching thread; for "memory" the
            process is ended in good order unless another is given.
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        limits = Limits(source_s, decoder_s, lag_s, memory_mb)
        self.vitals = Vitals(packet_s=clock())
        self.policies: dict[str, Policy] = {"memory": _end_process, **(policies or {})}
        self.watchdog = Watchdog(self.vitals, limits, clock, policies=self.policies)
        self._clock, self._is_live = clock, True
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
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


def _end_process(_name: str) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
