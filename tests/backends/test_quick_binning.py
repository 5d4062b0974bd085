"""The compiled binner gives what the reference gives, and leaves what is out of the ordinary."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamvdib.binning import Binner, BinningCounters
from streamvdib.errors import EventOrderError, EventRangeError
from streamvdib.events import EventPacket, SensorSize, as_events
from streamvdib.geometry import Box, Geometry
from streamvdib.input_steps import InputSteps

WHOLE = Geometry(SensorSize(30, 20), Box(0, 0, 30, 20))
GEOMETRIES = {
    "whole sensor": WHOLE,
    "whole sensor, one channel": Geometry(
        SensorSize(30, 20), Box(0, 0, 30, 20), polarity_channels=1
    ),
    "crop and downsampling, one channel": Geometry(
        SensorSize(30, 20), Box(3, 2, 24, 16), 2, None, 0, 1
    ),
    "tiles": Geometry(SensorSize(64, 50), Box(1, 1, 61, 47), 1, (26, 26)),
    "overlapping tiles": Geometry(SensorSize(64, 50), Box(1, 1, 61, 47), 2, (9, 7), 3, 1),
}


def packets(geometry: Geometry, lengths: list[int], seed: int) -> Iterator[EventPacket]:
    """Random events; the packets last as many microseconds as given."""
    generator = np.random.default_rng(seed)
    now = 1000
    for length in lengths:
        n_events = int(generator.integers(0, 200))
        times = np.sort(generator.integers(now, now + length, n_events))
        now += length
        x = generator.integers(0, geometry.sensor.width, n_events)
        y = generator.integers(0, geometry.sensor.height, n_events)
        yield EventPacket(as_events(times, x, y, generator.random(n_events) < 0.5), now)


def by_step(chunks: list[InputSteps]) -> list[tuple[int, int, list[list[int]]]]:
    """Number, start and active inputs of every lane of every step."""
    return [
        (
            chunk.first_step + step,
            chunk.start_us + step * chunk.dt_us,
            [
                chunk.indices[chunk.offsets[row] : chunk.offsets[row + 1]].tolist()
                for row in range(step * chunk.n_lanes, (step + 1) * chunk.n_lanes)
            ],
        )
        for chunk in chunks
        for step in range(chunk.n_steps)
    ]


@pytest.mark.parametrize("name", sorted(GEOMETRIES))
@settings(max_examples=25)
@given(lengths=st.lists(st.integers(1, 600), min_size=1, max_size=8), seed=st.integers(0, 2**31))
def test_steps_counters_and_what_waits_equal_the_reference(
    name: str, lengths: list[int], seed: int
) -> None:
    quick = Binner(GEOMETRIES[name], 100)
    reference = Binner(GEOMETRIES[name], 100, compiled=False)
    for packet in packets(GEOMETRIES[name], lengths, seed):
        assert by_step(list(quick.push(packet))) == by_step(list(reference.push(packet)))
        np.testing.assert_array_equal(quick.pending, reference.pending)
        assert quick.open_us == reference.open_us
        assert quick.counters == reference.counters


@pytest.mark.parametrize("n_steps", [1023, 1024, 1025, 3000])
def test_a_packet_of_many_steps_is_given_in_bounded_chunks(n_steps: int) -> None:
    quick, reference = Binner(WHOLE, 10), Binner(WHOLE, 10, compiled=False)
    for packet in packets(WHOLE, [n_steps * 10, 5, n_steps * 10], seed=1):
        chunks = list(quick.push(packet))
        assert all(chunk.n_steps <= 1024 for chunk in chunks)
        assert by_step(chunks) == by_step(list(reference.push(packet)))
    np.testing.assert_array_equal(quick.pending, reference.pending)
    assert quick.counters == reference.counters


@pytest.mark.parametrize(
    ("times", "x", "counter"),
    [([1020, 1005], 0, "late"), ([1020, 1021], 30, "off_sensor"), ([500], 0, "late")],
)
def test_what_is_out_of_the_ordinary_meets_the_policy(
    times: list[int], x: int, counter: str
) -> None:
    """Step [1000, 1010) is done when these events come."""
    strict, live = Binner(WHOLE, 10), Binner(WHOLE, 10, policy="count")
    reference = Binner(WHOLE, 10, policy="count", compiled=False)
    first = EventPacket(as_events([1001, 1012], [1, 2], [0, 0], [True, True]), 1015)
    second = EventPacket(
        as_events(times, [x] * len(times), [3] * len(times), [True] * len(times)), 1040
    )
    for binner in (strict, live, reference):
        list(binner.push(first))
    with pytest.raises((EventOrderError, EventRangeError)):
        list(strict.push(second))
    assert by_step(list(live.push(second))) == by_step(list(reference.push(second)))
    assert live.counters == reference.counters
    assert getattr(live.counters, counter) > 0


def test_disorder_within_open_steps_is_no_error() -> None:
    """An event of the step that is open may come after a younger one of the same packet."""
    quick = Binner(WHOLE, 10)
    events = as_events([1001, 1012, 1003], [1, 2, 3], [0, 0, 0], [False] * 3)
    assert by_step(list(quick.push(EventPacket(events, 1010))))[0][2] == [[1, 3]]


def test_nothing_is_counted_twice_when_a_packet_is_left_to_the_reference() -> None:
    quick = Binner(WHOLE, 10)
    events = as_events([1001, 1012, 1003], [1, 2, 3], [0, 0, 0], [False] * 3)
    list(quick.push(EventPacket(events, 1030)))
    assert quick.counters == BinningCounters(events=3, steps=3)
