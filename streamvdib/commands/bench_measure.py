"""How a scenario is measured: contenders in interleaved rounds, times of the working thread.

Times are CPU time of the one thread that works, so other programs on the machine disturb less;
medians and ratios are to be compared, not absolute times of different runs. Scenarios of whole
processes take wall time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

ROUND_NS = 60_000_000  # of each contender
WARM_UP_NS = 6_000_000  # of each contender before that
MOST_CALLS = 400  # per round


class Contender(NamedTuple):
    """One way to do the work of a scenario."""

    name: str
    call: Callable[[], object]
    n_units: int  # steps, frames or events that one call does
    clock: Callable[[], int] = time.thread_time_ns  # nanoseconds


class Scenario(NamedTuple):
    """Work with a permanent name; the first contender is what the others are compared with."""

    name: str
    unit: str
    contenders: list[Contender]
    unit_us: float = 0.0  # sensor time of a unit, microseconds, where there is such a time


class Row(NamedTuple):
    """What was measured of one contender."""

    scenario: str
    contender: str
    unit: str
    p50_us: float  # per unit
    p99_us: float
    ratio: float  # times faster than the first contender
    real_time: float  # times faster than the sensor, 0 where that means nothing


def measure(scenario: Scenario, n_rounds: int) -> list[Row]:
    """Time every contender in interleaved rounds."""
    times: dict[str, list[float]] = {c.name: [] for c in scenario.contenders}
    for contender in scenario.contenders:
        contender.call()
    for _ in range(n_rounds):
        for contender in scenario.contenders:
            times[contender.name] += _round(contender)
    medians = {name: float(np.median(values)) for name, values in times.items()}
    base = medians[scenario.contenders[0].name]
    return [
        Row(
            scenario.name,
            name,
            scenario.unit,
            medians[name],
            float(np.percentile(values, 99)),
            base / medians[name],
            scenario.unit_us / medians[name],
        )
        for name, values in times.items()
    ]


def _round(contender: Contender) -> list[float]:
    """Microseconds per unit of each call of one round.

    Calls that are not timed fill the caches first: a single step reads a fiftieth of the weights.
    """
    began = contender.clock()
    contender.call()
    while contender.clock() - began < WARM_UP_NS:
        contender.call()
    times: list[float] = []
    began = contender.clock()
    while len(times) < MOST_CALLS:
        before = contender.clock()
        contender.call()
        now = contender.clock()
        times.append((now - before) / 1e3 / contender.n_units)
        if now - began > ROUND_NS and len(times) > 1:
            break
    return times
