"""What is done about the clock of a live device."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamvdib.events import EventArray, SensorSize, as_events
from streamvdib.sources.timeline import JUMP_EVENTS, LATE_US, Timeline

SIZE = SensorSize(10, 10)
HOUR_US = 3_600_000_000


def at(times: list[int], x: int = 1) -> EventArray:
    return as_events(times, [x] * len(times), [1] * len(times), [True] * len(times))


def admitted(timeline: Timeline, times: list[int]) -> list[int]:
    return [int(t) for t in timeline.admit(at(times))["t_us"]]


def test_a_late_event_is_dropped_and_counted() -> None:
    timeline = Timeline(SIZE)
    assert admitted(timeline, [10, 20, 15, 20, 30]) == [10, 20, 20, 30]
    assert timeline.counters["late"] == 1


def test_events_off_the_sensor_are_dropped_and_counted() -> None:
    timeline = Timeline(SIZE)
    events = as_events([1, 2, 3, 4], [0, 10, 9, 65535], [0, 0, 10, 0], [True] * 4)
    assert timeline.admit(events)["t_us"].tolist() == [1]
    assert timeline.counters["off_sensor"] == 3


def test_a_32_bit_clock_goes_on_past_zero() -> None:
    timeline = Timeline(SIZE, time_bits=32)
    top = (1 << 32) - 10
    assert admitted(timeline, [top, top + 5]) == [top, top + 5]
    assert admitted(timeline, [3, 1, 8]) == [top + 13, top + 18]
    assert timeline.counters["clock_wraps"] == 1
    assert timeline.counters["late"] == 1


def test_times_beyond_2_to_the_31_are_not_negative() -> None:
    timeline = Timeline(SIZE, time_bits=32)
    middle = 1 << 31
    assert admitted(timeline, [middle - 1, middle, middle + 1]) == [middle - 1, middle, middle + 1]
    assert timeline.counters["clock_wraps"] == 0


def test_one_time_from_nowhere_does_not_move_the_clock() -> None:
    timeline = Timeline(SIZE)
    assert admitted(timeline, [0, 10 * HOUR_US, 5, 6]) == [0, 5, 6]
    assert timeline.counters["clock_jump"] == 1
    assert timeline.counters["clock_resets"] == 0


def test_times_from_nowhere_among_good_ones_are_never_believed() -> None:
    """Only events in a row count: here every second one is good."""
    timeline = Timeline(SIZE)
    times = [t_us for n in range(3 * JUMP_EVENTS) for t_us in (n, 5 * HOUR_US)]
    assert admitted(timeline, times) == list(range(3 * JUMP_EVENTS))
    assert timeline.counters["clock_jump"] == 3 * JUMP_EVENTS
    assert timeline.counters["clock_resets"] == 0


def test_a_clock_that_starts_again_is_believed_after_some_events() -> None:
    """Time goes on from the newest event; what came before it was believed is counted."""
    timeline = Timeline(SIZE)
    start = 100 * LATE_US
    again = list(range(JUMP_EVENTS + 2))
    assert admitted(timeline, [start, *again]) == [start, start, start + 1, start + 2]
    assert timeline.counters["clock_resets"] == 1
    assert timeline.counters["clock_jump"] == JUMP_EVENTS - 1


def test_a_jump_by_hours_is_taken_out() -> None:
    timeline = Timeline(SIZE)
    jumped = [2 * HOUR_US + n for n in range(JUMP_EVENTS + 1)]
    assert admitted(timeline, [7, *jumped]) == [7, 7, 8]
    assert timeline.counters["clock_resets"] == 1


def test_after_a_new_connection_a_new_clock_is_believed_at_once() -> None:
    timeline = Timeline(SIZE)
    assert admitted(timeline, [5_000_000]) == [5_000_000]
    timeline.reconnected()
    found = timeline.admit(at([3, 13]), resume_us=6_000_000)["t_us"].tolist()
    assert found == [6_000_000, 6_000_010]
    assert timeline.shift_us == 5_999_997


def test_after_a_new_connection_a_clock_that_went_on_stays() -> None:
    timeline = Timeline(SIZE)
    assert admitted(timeline, [5_000_000]) == [5_000_000]
    timeline.reconnected()
    assert admitted(timeline, [5_500_000]) == [5_500_000]
    assert timeline.counters["clock_resets"] == 0


def test_a_promise_of_silence_is_placed_on_the_same_time() -> None:
    timeline = Timeline(SIZE, time_bits=32)
    assert timeline.place(5) is None
    admitted(timeline, [(1 << 32) - 10])
    assert timeline.place(10) == (1 << 32) + 10
    assert timeline.place((1 << 32) - 20) is None


@given(
    times=st.lists(
        st.one_of(st.integers(0, 5000), st.integers(0, 2**32 - 1)), min_size=1, max_size=300
    ),
    x=st.lists(st.integers(0, 11), min_size=300, max_size=300),
    cuts=st.lists(st.integers(0, 300), max_size=8),
    time_bits=st.sampled_from([32, 64]),
)
def test_what_is_admitted_does_not_depend_on_how_events_were_cut(
    times: list[int], x: list[int], cuts: list[int], time_bits: int
) -> None:
    n = len(times)
    events = as_events(times, x[:n], [0] * n, [True] * n)
    whole, cut = Timeline(SIZE, time_bits=time_bits), Timeline(SIZE, time_bits=time_bits)
    expected = whole.admit(events)
    pieces = np.split(events, sorted(min(at_, n) for at_ in cuts))
    found = np.concatenate([cut.admit(piece) for piece in pieces])
    assert np.array_equal(found, expected)
    assert cut.counters == whole.counters
    assert np.all(np.diff(expected["t_us"]) >= 0)
    counts = whole.counters
    refused = counts["late"] + counts["off_sensor"] + counts["clock_jump"]
    assert len(expected) + refused == n
