"""Pacing by the recording's clock, with a faked wall clock."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from streamvdib.replay.pace import PacedSource, parse_speed

from streamvdib.errors import ConfigurationError
from streamvdib.events import EventPacket, as_events


def packet(t_us: int, end_us: int) -> EventPacket:
    return EventPacket(as_events([t_us], [1], [1], [True]), end_us)


@pytest.mark.parametrize("speed", [1.0, 0.25, 8.0])
def test_a_packet_is_handed_over_when_its_end_is_true(tools: Any, speed: float) -> None:
    """Recording from 1,000 us on; each end is due that long after the start, over the speed."""
    clock = tools.FakeClock()
    start_us = clock.now_us()
    ends = [2_000, 3_000, 9_500, 15_000]
    source = tools.MemorySource([packet(end_us - 1000, end_us) for end_us in ends])
    handed_us = {
        one.end_us: clock.now_us() - start_us
        for one in PacedSource(source, speed, clock=clock, tick_us=10**9)
    }
    assert handed_us == {end_us: round((end_us - 1_000) / speed) for end_us in ends}


def test_lateness_does_not_add_up(tools: Any) -> None:
    """Every sleep is 700 us late; after 10 s of recording the drift is still below 1 ms."""
    clock = tools.FakeClock(late_us=700)
    start_us = clock.now_us()
    packets = [packet(1000 * k, 1000 * k + 1000) for k in range(10_000)]
    paced = PacedSource(tools.MemorySource(packets), 1.0, clock=clock)
    for one in paced:
        assert 0 <= clock.now_us() - start_us - one.end_us < 1000
    assert paced.worst_us <= 700
    assert paced.counters["pace_worst_late_us"] == paced.worst_us


def test_a_slow_consumer_is_not_waited_for_and_nothing_is_left_out(tools: Any) -> None:
    clock = tools.FakeClock()
    packets = [packet(1000 * k, 1000 * k + 1000) for k in range(20)]
    paced = PacedSource(tools.MemorySource(packets), 1.0, clock=clock)
    n_packets = 0
    for _ in paced:
        n_packets += 1
        clock.time_us += 5000
    assert n_packets == 20
    assert paced.worst_us == 19 * 4000


def test_a_gap_is_filled_with_packets_that_depend_on_the_recording_alone(tools: Any) -> None:
    clock = tools.FakeClock()
    source = tools.MemorySource([packet(0, 1_000), packet(34_000, 35_000)])
    packets = list(PacedSource(source, 1.0, clock=clock, tick_us=10_000))
    assert [one.end_us for one in packets] == [1_000, 11_000, 21_000, 31_000, 35_000]
    assert [len(one.events) for one in packets] == [1, 0, 0, 0, 1]


def test_at_full_speed_packets_pass_as_they_are(tools: Any) -> None:
    clock = tools.FakeClock()
    packets = tools.cut(tools.some_events(500))
    paced = PacedSource(tools.MemorySource(packets), None, clock=clock)
    assert all(a is b for a, b in zip(paced, packets, strict=True))
    assert clock.now_us() == 5_000_000


def test_the_events_are_the_same_at_any_speed(tools: Any) -> None:
    events = tools.some_events(3000, step_us=200)
    for speed in (0.5, 1.0, 100.0, None):
        source = tools.MemorySource(tools.cut(events))
        paced = PacedSource(source, speed, clock=tools.FakeClock())
        assert np.array_equal(np.concatenate([one.events for one in paced]), events)
        paced.close()
        assert source.is_closed


def test_speeds_are_read_from_the_command_line() -> None:
    assert parse_speed("1") == 1.0
    assert parse_speed("max") is None
    for text in ("0", "-1", "fast", "inf", "nan"):
        with pytest.raises(ConfigurationError, match="--speed"):
            parse_speed(text)
