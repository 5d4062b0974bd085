"""What the service counts and measures of itself; written by the engine's thread, read by all."""

from __future__ import annotations

import bisect
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

LATENCY_BOUNDS_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0, 3.0)
"""Upper bounds of the latency histograms, seconds."""


class Latencies:
    """A histogram since the start, and percentiles of the last ``n_recent`` values.

    Memory: ``n_recent`` + 12 numbers.
    """

    def __init__(self, n_recent: int = 2048) -> None:
        self.counts = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self.sum_s = 0.0
        self._recent_us = np.zeros(n_recent)
        self.n = 0

    def add(self, latency_ns: int) -> None:
        """Count one latency."""
        seconds = max(0, latency_ns) / 1e9
        self.counts[bisect.bisect_left(LATENCY_BOUNDS_S, seconds)] += 1
        self.sum_s += seconds
        self._recent_us[self.n % len(self._recent_us)] = seconds * 1e6
        self.n += 1

    def percentiles_us(self) -> dict[str, float]:
        """p50 and p99 of the recent ones, microseconds; 0 before the first."""
        recent = self._recent_us[: self.n] if self.n < len(self._recent_us) else self._recent_us
        if len(recent) == 0:
            return {"p50": 0.0, "p99": 0.0}
        p50, p99 = np.percentile(recent, (50, 99))
        return {"p50": round(float(p50), 1), "p99": round(float(p99), 1)}


@dataclass
class Pulse:
    """Signs of life of the engine's thread.

    ``beat_ns`` moves whenever the thread passes through its loop, ``advanced_ns`` only when
    steps were made, both on the monotonic clock.
    """

    state: str = "starting"  # starting, running, idle, paused, closing, ended, failed
    step: int = -1
    beat_ns: int = field(default_factory=time.monotonic_ns)
    advanced_ns: int = field(default_factory=time.monotonic_ns)

    def beat(self, state: str) -> None:
        """The thread passed, and this is what it is doing."""
        self.state = state
        self.beat_ns = time.monotonic_ns()

    def advanced(self, step: int) -> None:
        """Steps were made."""
        self.step = step
        self.beat_ns = self.advanced_ns = time.monotonic_ns()

    def is_alive(self, patience_s: float) -> bool:
        """Whether the thread passed within the last ``patience_s``."""
        return time.monotonic_ns() - self.beat_ns < patience_s * 1e9


@dataclass
class Tally:
    """Totals since the start, and rates over the time between two calls of ``rates``."""

    pulse: Pulse = field(default_factory=Pulse)
    n_events: int = 0
    n_steps: int = 0
    n_frames: int = 0
    n_spikes: int = 0
    step_latency: Latencies = field(default_factory=Latencies)
    frame_latency: Latencies = field(default_factory=Latencies)
    dropped: Mapping[str, int] = field(default_factory=dict)
    started_ns: int = field(default_factory=time.monotonic_ns)
    _then: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)

    def rates(self) -> dict[str, float]:
        """Events, steps and frames per second and spikes per step since the last call."""
        now = (time.monotonic_ns(), self.n_events, self.n_steps, self.n_frames, self.n_spikes)
        then = self._then if self._then[0] else (self.started_ns, 0, 0, 0, 0)
        self._then = now
        seconds = max(1e-9, (now[0] - then[0]) / 1e9)
        n_events, n_steps, n_frames, n_spikes = (
            b - a for a, b in zip(then[1:], now[1:], strict=True)
        )
        return {
            "events_per_s": round(n_events / seconds, 1),
            "steps_per_s": round(n_steps / seconds, 1),
            "frames_per_s": round(n_frames / seconds, 1),
            "spikes_per_step": round(n_spikes / max(1, n_steps), 3),
        }
