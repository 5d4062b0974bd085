"""Binning: by hand, whatever the packets, and every policy of its table."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamvdib.binning import Binner
from streamvdib.errors import ConfigurationError, EventOrderError, EventRangeError
from streamvdib.events import EventArray, EventPacket, SensorSize, as_events
from streamvdib.geometry import Box, Geometry
from streamvdib.input_steps import InputSteps

GEOMETRY = Geometry(SensorSize(4, 3), Box(0, 0, 4, 3))


def binner(dt_us: int = 10, policy: str = "raise", max_gap_us: int = 10_000) -> Binner:
    return Binner(GEOMETRY, dt_us, policy=policy, max_gap_us=max_gap_us)


def packet(times: list[int], end_us: int | None = None, x: int = 0) -> EventPacket:
    n = len(times)
    events = as_events(times, [x] * n, [0] * n, [True] * n)
    return EventPacket(events, end_us if end_us is not None else max(times) + 1)


def active(chunks: list[InputSteps]) -> list[list[int]]:
    """Active inputs of every step of a single lane."""
    return [
        chunk.indices[chunk.offsets[s] : chunk.offsets[s + 1]].tolist()
        for chunk in chunks
        for s in range(chunk.n_steps)
    ]


def test_events_fall_into_half_open_steps_counted_from_a_multiple_of_dt() -> None:
    """By hand: first event at 23 us, dt 10: steps [20, 30), [30, 40), [40, 50)."""
    events = as_events([23, 29, 30, 41], [0, 1, 2, 3], [0, 0, 0, 0], [True, False, True, True])
    chunks = list(binner().push(EventPacket(events, 50)))
    assert chunks[0].start_us == 20
    assert active(chunks) == [[1, 12], [14], [15]]


def test_an_input_that_fires_often_in_a_step_is_active_once() -> None:
    chunks = list(binner().push(packet([20, 21, 22], end_us=30)))
    assert active(chunks) == [[12]]


def test_warming_up_changes_nothing() -> None:
    warm, cold = binner(), binner()
    warm.warm_up()
    assert warm.counters == cold.counters
    for n in (3, 7):
        times = [40 * n, 40 * n + 20, 40 * n + 39]
        one, other = list(warm.push(packet(times))), list(cold.push(packet(times)))
        assert active(one) == active(other)
        assert [chunk.first_step for chunk in one] == [chunk.first_step for chunk in other]


def test_a_silent_packet_still_ticks() -> None:
    counting = binner()
    list(counting.push(packet([20])))
    chunks = list(counting.push(EventPacket(as_events([], [], [], []), 50)))
    assert active(chunks) == [[12], [], []]


def test_nothing_ticks_before_the_first_event() -> None:
    assert list(binner().push(EventPacket(as_events([], [], [], []), 50))) == []


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=40),
    st.lists(st.integers(1, 400), max_size=6),
    st.integers(0, 2**31),
)
def test_steps_do_not_depend_on_how_events_are_cut_into_packets(
    times: list[int], cuts: list[int], seed: int
) -> None:
    events = random_events(sorted(times), seed)
    whole = active(list(binner().push(EventPacket(events, 401))))
    cutting = binner()
    chunks: list[InputSteps] = []
    start = 0
    for cut in sorted({*cuts, 401}):
        part = events[(events["t_us"] >= start) & (events["t_us"] < cut)]
        chunks += cutting.push(EventPacket(part, cut))
        start = cut
    assert active(chunks) == whole


@settings(max_examples=60)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=40), st.integers(0, 2**31))
def test_every_event_is_active_in_its_step_and_nothing_else_is(times: list[int], seed: int) -> None:
    """Oracle: a set of (step, input) per event, by dividing."""
    events = random_events(sorted(times), seed)
    chunks = list(binner().push(EventPacket(events, 410)))
    first = chunks[0].start_us
    expected = {
        ((int(e["t_us"]) - first) // 10, int(e["on"]) * 12 + int(e["y"]) * 4 + int(e["x"]))
        for e in events
    }
    found = {(s, i) for s, inputs in enumerate(active(chunks)) for i in inputs}
    assert found == {pair for pair in expected if pair[0] < len(active(chunks))}


def random_events(times: list[int], seed: int) -> EventArray:
    generator = np.random.default_rng(seed)
    n = len(times)
    return as_events(
        times, generator.integers(0, 4, n), generator.integers(0, 3, n), generator.random(n) < 0.5
    )


def test_a_late_event_is_an_error_in_a_recording_and_counted_live() -> None:
    recording, live = binner(), binner(policy="count")
    for counting in (recording, live):
        list(counting.push(packet([100, 125])))
    with pytest.raises(EventOrderError, match=r"not be earlier than t=120 us.*got t=115 us"):
        list(recording.push(packet([115])))
    assert active(list(live.push(packet([115, 126], end_us=130)))) == [[12]]
    assert live.counters.late == 1


def test_an_event_off_the_sensor_is_an_error_in_a_recording_and_counted_live() -> None:
    recording, live = binner(), binner(policy="count")
    with pytest.raises(EventRangeError, match="sensor of 4x3 pixels; got one at x=4, y=0, t=20"):
        list(recording.push(packet([20], x=4)))
    list(live.push(packet([20], x=4)))
    assert live.counters.off_sensor == 1


@pytest.mark.parametrize("jump_us", [50_000, -50_000])
def test_a_clock_that_jumps_is_an_error_in_a_recording_and_restarts_a_live_stream(
    jump_us: int,
) -> None:
    recording, live = binner(), binner(policy="count")
    for counting in (recording, live):
        list(counting.push(packet([100_000], end_us=100_010)))
    with pytest.raises(EventOrderError, match="must not jump by more than 10000 us"):
        list(recording.push(packet([100_000 + jump_us])))
    chunks = list(live.push(packet([100_000 + jump_us], end_us=100_010 + jump_us)))
    assert chunks[0].restarts
    assert chunks[0].start_us == 100_000 + jump_us
    assert chunks[0].first_step == 1
    assert live.counters.restarts == 1


def test_a_jump_inside_a_packet_restarts_too() -> None:
    live = binner(policy="count")
    chunks = list(live.push(packet([100_000, 100_012, 40], end_us=50)))
    assert [chunk.restarts for chunk in chunks] == [False, True]
    assert active(chunks) == [[12], [12]]


def test_a_gap_within_the_limit_is_silence() -> None:
    chunks = list(binner().push(packet([0, 9_990], end_us=10_000)))
    steps = active(chunks)
    assert len(steps) == 1000
    assert [k for k, inputs in enumerate(steps) if inputs] == [0, 999]


def test_all_events_are_accounted_for() -> None:
    counting = Binner(Geometry(SensorSize(4, 3), Box(1, 0, 2, 3)), 10, policy="count")
    events = as_events([5, 6, 7, 8], [0, 1, 9, 2], [0, 0, 0, 0], [True] * 4)
    chunks = list(counting.push(EventPacket(events, 10)))
    counters = counting.counters
    assert counters.events == 4
    assert (counters.outside, counters.off_sensor) == (1, 1)
    assert active(chunks) == [[6, 7]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dt_us": 0}, "dt_us must be at least 1"),
        ({"policy": "ignore"}, "a policy must be raise or count; got 'ignore'"),
    ],
)
def test_a_binner_that_cannot_be_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        binner(**options)  # type: ignore[arg-type]
