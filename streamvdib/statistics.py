"""Figures of a run in constant memory: totals, and latencies as a histogram.

The histogram's buckets grow by a twentieth of an octave, so a percentile is right to 3.5 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

_BUCKETS_PER_OCTAVE = 20
_N_BUCKETS = 30 * _BUCKETS_PER_OCTAVE  # 1 ns to about a second; slower ones share the last


class LatencyHistogram:
    """Counts of durations in seconds. Memory: 600 counters.

    >>> histogram = LatencyHistogram()
    >>> histogram.add(1e-3, count=99)
    >>> histogram.add(1.0)
    >>> 0.9e-3 < histogram.percentile(50) < 1.1e-3
    True
    """

    def __init__(self) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros(_N_BUCKETS + 1, dtype=np.int64)

    def add(self, seconds: float, count: int = 1) -> None:
        """Count ``count`` durations of that length."""
        if count > 0:
            position = math.log2(max(seconds, 1e-9) / 1e-9) * _BUCKETS_PER_OCTAVE
            self.counts[min(int(position), _N_BUCKETS)] += count

    def percentile(self, percent: float) -> float:
        """The duration that ``percent`` of the counted ones do not exceed; nan if none."""
        total = int(self.counts.sum())
        if total == 0:
            return math.nan
        reached = int(np.searchsorted(np.cumsum(self.counts), total * percent / 100))
        return float(1e-9 * 2 ** ((min(reached, _N_BUCKETS) + 0.5) / _BUCKETS_PER_OCTAVE))


@dataclass
class RunStatistics:
    """What a run has done so far."""

    steps: int = 0
    frames: int = 0
    spikes: int = 0  # of the readout, all lanes
    updates: int = 0  # of the weights
    merged_steps: int = 0  # steps that went into others where load was shed
    shed_inputs: int = 0  # active inputs given up where load was shed
    step_latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    decode_latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    learn_latency: LatencyHistogram = field(default_factory=LatencyHistogram)

    @property
    def spikes_per_step(self) -> float:
        """Readout spikes per step over all lanes; nan before the first step."""
        return self.spikes / self.steps if self.steps else math.nan
