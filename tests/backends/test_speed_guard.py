"""Speed as ratios within one process: a slow machine is slow on both sides.

The margins are wide (several times what is measured is lost before a test fails), so that only
a loop that is no longer compiled or vectorised shows.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from streamvdib.commands.bench_measure import Contender, Scenario, measure
from streamvdib.commands.bench_scenarios import binning, decoder, step


def best(call: Callable[[], object], n_units: int) -> float:
    """Least thread CPU time per unit of several calls: what other programs disturb least."""
    call()
    times = []
    for _ in range(7):
        before = time.thread_time_ns()
        call()
        times.append(time.thread_time_ns() - before)
    return min(times) / n_units


def ratio(scenario: Scenario, base: str, ours: str) -> float:
    """How many times faster ``ours`` is than ``base``."""
    found = {c.name: best(c.call, c.n_units) for c in scenario.contenders if c.name in (base, ours)}
    return found[base] / found[ours]


def test_a_chunk_is_faster_than_event_driven_numpy() -> None:
    """Measured: about 8 times."""
    scenario = step("step-two-layers", [600, 256], peers=False)
    assert ratio(scenario, "numpy, event-driven", "ours, chunk") > 2


def test_binning_is_faster_than_numpy() -> None:
    """Measured: about 20 times."""
    assert ratio(binning("binning-346x260", 346, 260, 5), "numpy + unique", "ours") > 4


def test_the_event_driven_decoder_is_faster_than_torch() -> None:
    """Measured: about 9 times."""
    assert ratio(decoder(30), "torch eager", "ours") > 1.5


def test_a_measurement_tells_median_and_ratio_to_the_first_contender() -> None:
    """By hand: the same work for half as many units takes twice as long per unit."""

    def work() -> None:
        sum(range(20_000))

    scenario = Scenario("hand", "unit", [Contender("a", work, 1), Contender("b", work, 2)], 1e6)
    first, second = measure(scenario, 2)
    assert (first.ratio, first.scenario, first.unit) == (1.0, "hand", "unit")
    assert second.ratio == first.p50_us / second.p50_us
    assert second.real_time == 1e6 / second.p50_us
    assert first.p99_us >= first.p50_us > 0


def test_a_contender_is_timed_by_its_own_clock() -> None:
    """By hand: a clock that goes on by 3 us a look shows 1.5 us for each of 2 units."""
    looks = itertools.count(0, 3000)
    contender = Contender("a", lambda: None, 2, lambda: next(looks))
    assert measure(Scenario("hand", "unit", [contender]), 1)[0].p50_us == 1.5
