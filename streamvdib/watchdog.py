"""Watches what may stall: source, decoder, lag and memory, each with a bound and a policy.

    what                      alarm                policy, in this order
    no event for source_s     "source"             reconnect, again after each source_s
    no step for decoder_s     "decoder"            the heartbeat stops, so that a supervisor
                                                   restarts; if it comes back: ``Shedding``
    lag above lag_s           "lag"                ``Shedding``: decodes, then bins, then lanes
    memory above memory_mb    "memory"             ``Shedding`` as far as it goes; then checkpoint
                                                   and end, and a supervisor restarts

``Watchdog.check`` is called from a thread of its own or from a loop; it never touches the engine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streamvdib.errors import ConfigurationError

_LOG = logging.getLogger(__name__)
_PAGE_MB = 4096 / 2**20


def resident_mb() -> float:
    """Resident memory of this process, in units of 2^20 bytes; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_MB
    except OSError:
        return 0.0


@dataclass(frozen=True)
class Limits:
    """When an alarm is raised; 0 watches nothing.

    Attributes:
        source_s: seconds without an event.
        decoder_s: seconds that one packet may take.
        lag_s: seconds behind the sensor.
        memory_mb: resident memory.
    """

    source_s: float = 5.0
    decoder_s: float = 10.0
    lag_s: float = 1.0
    memory_mb: float = 0.0

    def __post_init__(self) -> None:
        if min(self.source_s, self.decoder_s, self.lag_s, self.memory_mb) < 0:
            raise ConfigurationError(f"limits of a watchdog must be 0 or more; got {self}")


@dataclass
class Vitals:
    """What the streaming thread says of itself; written by it alone."""

    packet_s: float = 0.0  # when the last packet with events came
    began_s: float | None = None  # when the packet at hand was begun; None between packets
    lag_s: float = 0.0


@dataclass
class Watchdog:
    """Raises and clears alarms, and calls a policy when one is raised.

    Memory: a few numbers.

    Attributes:
        vitals: of the streaming thread.
        limits: bounds.
        clock: seconds that only go up.
        policies: called with the alarm's name when it is raised; a missing one does nothing.
        resident_mb: how much memory the process has.
    """

    vitals: Vitals
    limits: Limits
    clock: Callable[[], float]
    policies: Mapping[str, Callable[[str], object]] = field(default_factory=dict)
    resident_mb: Callable[[], float] = resident_mb
    alarms: set[str] = field(default_factory=set)
    n_raised: dict[str, int] = field(default_factory=dict)

    @property
    def counters(self) -> dict[str, int]:
        """How often each alarm was raised, by name, for metrics."""
        return {f"alarms_{name}": count for name, count in self.n_raised.items()}

    def check(self) -> set[str]:
        """Look once; the alarms that stand."""
        now_s, vitals, limits = self.clock(), self.vitals, self.limits
        is_busy = vitals.began_s is not None
        busy_s = 0.0 if vitals.began_s is None else now_s - vitals.began_s
        silent_s = 0.0 if is_busy else now_s - vitals.packet_s
        self._set("source", limits.source_s, silent_s)
        self._set("decoder", limits.decoder_s, busy_s)
        self._set("lag", limits.lag_s, vitals.lag_s)
        self._set("memory", limits.memory_mb, self.resident_mb() if limits.memory_mb else 0.0)
        return self.alarms

    def _set(self, name: str, limit: float, value: float) -> None:
        stands = 0 < limit < value
        if stands and name not in self.alarms:
            self.alarms.add(name)
            self.n_raised[name] = self.n_raised.get(name, 0) + 1
            _LOG.error("alarm %s: %.3g must stay below %.3g", name, value, limit)
            self.policies.get(name, _nothing)(name)
        elif not stands and name in self.alarms:
            self.alarms.discard(name)
            _LOG.warning("alarm %s is over", name)


def _nothing(name: str) -> None:
    """No policy: the alarm is shown, that is all."""
