"""Stalled source, stalled decoder, lag and memory: each alarm has its policy, counted and shown."""

import argparse
from collections.abc import Iterator

import numpy as np
import pytest

from streamvdib.commands.safety import Safety, add_safety_arguments
from streamvdib.commands.watching import (
    RELIEF_S,
    Guardian,
    engine_policies,
    make_guardian,
    make_shedding,
)
from streamvdib.endurance.workload import SENSOR, packets, small_engine
from streamvdib.events import EventPacket
from streamvdib.filters import FilteredSource
from streamvdib.shedding import Bounds, Level, Shedding
from streamvdib.sources.source import innermost


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class LiveFake:
    """Looks like a live source to what watches it."""

    name, is_live, sensor_size = "fake", True, SENSOR

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}
        self.n_reconnected = 0

    def __iter__(self) -> Iterator[EventPacket]:
        return iter(packets(0, 4))

    def reconnect(self) -> None:
        self.n_reconnected += 1

    def close(self) -> None:
        pass


def test_a_source_without_events_is_connected_anew_after_each_time() -> None:
    clock, answered = Hand(), []
    guardian = Guardian(0, source_s=5.0, policies={"source": answered.append}, clock=clock)
    guardian.close()  # looked at by hand
    guardian.begins(is_live=True)
    for seconds, n_expected in ((4.0, 0), (2.0, 1), (4.0, 1), (2.0, 2)):
        clock.now_s += seconds
        guardian.packet_comes(has_events=False)
        guardian.packet_is_done()
        guardian.look()
        guardian.look()
        assert len(answered) == n_expected
    clock.now_s += 4.0
    guardian.packet_comes(has_events=True)
    guardian.packet_is_done()
    clock.now_s += 4.0
    guardian.look()
    assert len(answered) == 2
    assert guardian.counters == {"alarms_source": 2}


def test_a_recording_and_an_ended_source_do_not_stall() -> None:
    clock, answered = Hand(), []
    guardian = Guardian(0, source_s=5.0, policies={"source": answered.append}, clock=clock)
    guardian.close()
    guardian.begins(is_live=False)
    guardian.packet_comes(has_events=True)
    guardian.packet_is_done()
    clock.now_s += 60.0
    guardian.look()
    guardian.begins(is_live=True)
    guardian.rest()
    clock.now_s += 60.0
    guardian.look()
    assert answered == []


def test_a_stall_of_the_decoder_gives_up_frames_first_then_steps_then_lanes() -> None:
    clock = Hand()
    shedding = Shedding(clock, Bounds(lag_s=float("inf"), recover_s=1000.0))
    guardian = Guardian(
        0, decoder_s=2.0, policies={"decoder": lambda _: shedding.ask()}, clock=clock
    )
    guardian.close()
    levels = []
    for _ in range(4):
        guardian.packet_comes(has_events=True)
        clock.now_s += 3.0
        guardian.look()
        guardian.look()
        guardian.packet_is_done()
        guardian.look()
        shedding.observe(0.0)
        levels.append(shedding.level)
    up = [Level.DROP_DECODES, Level.MERGE_BINS, Level.SHED_LANES, Level.SHED_LANES]
    assert levels == up
    assert guardian.counters["alarms_decoder"] == 4


def test_what_was_given_up_for_a_stall_is_taken_back_in_order() -> None:
    clock = Hand()
    shedding = Shedding(clock, Bounds(lag_s=float("inf"), recover_s=5.0))
    shedding.ask()
    shedding.observe(0.0)
    assert shedding.level is Level.DROP_DECODES
    for seconds in (1.0, 6.0):
        clock.now_s += seconds
        shedding.observe(0.0)
    assert shedding.level is Level.NORMAL


def test_full_memory_gives_up_frames_steps_and_lanes_and_only_then_ends_the_run_once() -> None:
    clock, ends = Hand(), []
    shedding = Shedding(clock, Bounds(lag_s=float("inf"), recover_s=1000.0))
    guardian = Guardian(
        1, policies=engine_policies(lambda: shedding), end=lambda: ends.append(clock()), clock=clock
    )
    guardian.close()
    levels = []
    for _ in range(6):
        guardian.look()
        guardian.look()  # nothing more before what was given up could help
        shedding.observe(0.0)
        levels.append((shedding.level, len(ends)))
        clock.now_s += RELIEF_S
    lanes = Level.SHED_LANES
    shed = [Level.DROP_DECODES, Level.MERGE_BINS, lanes, lanes, lanes, lanes]
    assert levels == list(zip(shed, [0, 0, 0, 1, 1, 1], strict=True))


def test_memory_that_is_free_again_ends_nothing() -> None:
    ends, full = [], [True, True, False, True, True, True]
    guardian = Guardian(1, policies={"memory": lambda _: None}, end=lambda: ends.append(1))
    guardian.close()
    for is_full in full:
        guardian.watchdog.resident_mb = lambda is_full=is_full: 2.0 if is_full else 0.5
        guardian.look()
        guardian._relief_s -= RELIEF_S
    assert ends == []
    guardian.look()
    assert ends == [1]


def test_a_recording_gives_up_nothing_and_ends_at_once() -> None:
    ends = []
    guardian = Guardian(1, end=lambda: ends.append(1), clock=Hand())
    guardian.close()
    guardian.look()
    guardian.look()
    assert ends == [1]
    assert make_shedding(arguments("--memory-mb", "1"), is_live=False) is None
    assert make_shedding(arguments("--memory-mb", "1"), is_live=True) is not None


def test_a_bound_on_the_lag_alone_raises_its_alarm() -> None:
    guardian = make_guardian(arguments("--shed-lag-ms", "100"), source_s=0.0)
    assert guardian is not None
    guardian.close()
    guardian.packet_comes(has_events=True, lag_s=0.2)
    guardian.look()
    assert guardian.counters == {"alarms_lag": 1}


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_safety_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize("filtered", [False, True], ids=["bare", "filtered"])
def test_run_answers_the_alarms_of_its_source_and_engine(filtered: bool) -> None:
    fake = LiveFake()
    source = FilteredSource(fake, []) if filtered else fake
    assert innermost(source) is fake
    engine = small_engine(backend="torch", policy="count")
    with Safety(arguments("--source-stall-s", "1e6", "--decoder-stall-s", "1e6")) as safety:
        steps = []
        for index, packet in enumerate(safety.packets(engine, source, source)):
            guardian = safety._guardian
            assert guardian is not None
            if index == 1:
                guardian.policies["source"]("source")
                guardian.policies["decoder"]("decoder")
            steps += [frame.step for frame in safety.advance(packet)]
        assert fake.n_reconnected == 1
        assert safety.counters["shedding_raised"] == 1
    assert engine.decode_every == 4
    assert np.diff(steps)[-1] == 4
