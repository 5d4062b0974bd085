"""The wall clock jumps, the machine sleeps: nothing breaks, no latency is negative."""

import numpy as np

from streamvdib.endurance.workload import packets, small_engine
from streamvdib.shedding import Bounds, Level, Shedding
from streamvdib.watchdog import Limits, Vitals, Watchdog

DAY_S = 86_400.0


class JumpingClock:
    """Goes a day forward or back at every look."""

    def __init__(self) -> None:
        self.now_s, self.n_looks = 1e6, 0

    def __call__(self) -> float:
        self.n_looks += 1
        self.now_s += DAY_S if self.n_looks % 2 else -DAY_S + 0.001
        return self.now_s


def test_a_clock_that_jumps_changes_no_frame_and_no_latency_is_negative() -> None:
    quiet, jumping = (
        small_engine(backend="torch"),
        small_engine(backend="torch", clock=JumpingClock()),
    )
    for packet in packets(0, 10):
        ours, theirs = jumping.advance(packet), quiet.advance(packet)
        assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(ours, theirs, strict=True))
    for name in ("step_latency", "decode_latency"):
        histogram = getattr(jumping.statistics, name)
        assert histogram.percentile(0.001) >= 0
        assert histogram.counts.sum() > 0


def test_load_is_shed_in_order_and_taken_back_in_order() -> None:
    now_s = 0.0
    shedding = Shedding(lambda: now_s, Bounds(lag_s=0.1, hold_s=0.5, recover_s=2.0))
    levels = []
    for tick in range(200):
        now_s += 0.1
        shedding.observe(1.0 if tick < 60 else 0.0)
        if not levels or levels[-1] != shedding.level:
            levels.append(shedding.level)
    up = [Level.NORMAL, Level.DROP_DECODES, Level.MERGE_BINS, Level.SHED_LANES]
    assert levels == up + up[-2::-1]
    assert shedding.counters["shedding_raised"] == shedding.counters["shedding_lowered"] == 3


def test_a_hiccup_on_a_busy_machine_does_not_keep_load_shed() -> None:
    """Every second one look finds a lag: without a hiccup's pardon no recovery of 2 s begins."""
    now_s = 0.0
    shedding = Shedding(lambda: now_s, Bounds(lag_s=0.1, hold_s=0.5, recover_s=2.0))
    for tick in range(100):
        now_s += 0.1
        shedding.observe(1.0 if tick < 20 or tick % 10 == 0 else 0.0)
    assert shedding.level is Level.NORMAL
    assert shedding.n_raised == 3


def test_a_lag_that_lasts_ends_a_recovery() -> None:
    """Half of the bound is neither bad nor easy: after ``hold_s`` of it the 2 s begin anew."""
    now_s = 0.0
    shedding = Shedding(lambda: now_s, Bounds(lag_s=0.1, hold_s=0.5, recover_s=2.0))
    shedding.ask()
    for tick in range(60):
        now_s += 0.1
        shedding.observe(0.05 if tick % 18 < 8 else 0.0)
    assert shedding.level is Level.DROP_DECODES


def test_shedding_never_reorders_or_repeats_and_counts_what_it_gives_up() -> None:
    shedding = Shedding(lambda: 0.0)
    engine = small_engine(backend="torch")
    frames = []
    for index, packet in enumerate(packets(1, 32)):
        shedding.level = Level(index // 4 % 4)
        shedding.applies(engine)
        frames += engine.advance(packet)
    steps, ends = [f.step for f in frames], [f.end_us for f in frames]
    assert steps == sorted(set(steps))
    assert ends == sorted(set(ends))
    counters, statistics = engine.binners[0].counters, engine.statistics
    assert counters.steps == statistics.steps + statistics.merged_steps
    assert statistics.merged_steps > 0
    assert statistics.shed_inputs > 0
    shedding.level = Level.NORMAL
    shedding.applies(engine)
    assert engine.decode_every == 1


def test_alarms_are_raised_once_counted_answered_and_cleared() -> None:
    now_s = 100.0
    answered: list[str] = []
    vitals = Vitals(packet_s=100.0)
    watchdog = Watchdog(
        vitals,
        Limits(source_s=5.0, decoder_s=2.0, lag_s=0.5, memory_mb=100.0),
        lambda: now_s,
        policies={"source": answered.append, "memory": answered.append},
        resident_mb=lambda: 200.0 if now_s > 110 else 50.0,
    )
    assert watchdog.check() == set()
    now_s = 106.0
    assert watchdog.check() == {"source"}
    assert watchdog.check() == {"source"}
    vitals.packet_s = vitals.began_s = now_s
    vitals.lag_s = 0.7
    assert watchdog.check() == {"lag"}
    now_s = 111.0
    assert watchdog.check() == {"lag", "decoder", "memory"}
    vitals.began_s, vitals.packet_s, vitals.lag_s = None, now_s, 0.0
    assert watchdog.check() == {"memory"}
    assert answered == ["source", "memory"]
    assert watchdog.counters == {
        "alarms_source": 1,
        "alarms_lag": 1,
        "alarms_decoder": 1,
        "alarms_memory": 1,
    }
