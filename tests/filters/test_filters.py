"""Clean-up filters: by hand, against plain Python, and however the events were cut."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamvdib.errors import ConfigurationError
from streamvdib.events import EventArray, EventPacket, SensorSize, as_events
from streamvdib.filters import FilteredSource, parse_filters
from streamvdib.filters.hot_pixels import MIN_RATE_HZ, WINDOW_US

SIZE = SensorSize(8, 6)


@st.composite
def event_arrays(draw: st.DrawFn, max_gap_us: int = 600) -> EventArray:
    gaps = draw(st.lists(st.integers(0, max_gap_us), min_size=1, max_size=120))
    n = len(gaps)
    x = draw(st.lists(st.integers(0, SIZE.width - 1), min_size=n, max_size=n))
    y = draw(st.lists(st.integers(0, SIZE.height - 1), min_size=n, max_size=n))
    on = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    return as_events(np.cumsum(gaps), x, y, on)


def kept(specification: str, events: EventArray) -> list[bool]:
    (one,) = parse_filters(specification, SIZE)
    return [bool(stays) for stays in one.keep(events)]


def at(*events: tuple[int, int, int]) -> EventArray:
    t_us, x, y = zip(*events, strict=True)
    return as_events(t_us, x, y, [True] * len(events))


def test_polarity_keeps_one() -> None:
    events = as_events([1, 2, 3], [0] * 3, [0] * 3, [True, False, True])
    assert kept("polarity=on", events) == [True, False, True]
    assert kept("polarity=off", events) == [False, True, False]


def test_a_region_is_half_open() -> None:
    events = at((1, 1, 2), (2, 2, 2), (3, 4, 3), (4, 5, 3), (5, 2, 4))
    assert kept("roi=2:2:3:2", events) == [False, True, True, False, False]


def test_a_pixel_is_deaf_after_an_event_that_stayed() -> None:
    """The one at 900 goes, so the one at 1,100 is judged by that at 0."""
    events = at((0, 1, 1), (900, 1, 1), (950, 2, 1), (1100, 1, 1), (2100, 1, 1))
    assert kept("refractory=1000", events) == [True, False, True, True, True]


def test_an_event_stays_if_a_neighbour_was_active_shortly_before() -> None:
    """The pixel's own past does not count; a corner is a neighbour; 2 pixels away is none."""
    events = at((0, 3, 3), (100, 3, 3), (200, 4, 4), (250, 6, 4), (2300, 4, 4), (2400, 3, 3))
    assert kept("baf=2000", events) == [False, False, True, False, False, True]


def test_noise_at_the_border_has_neighbours_on_the_sensor_only() -> None:
    events = at((0, 0, 0), (10, 7, 5), (20, 1, 1), (30, 7, 4))
    assert kept("baf=2000", events) == [False, False, True, True]


def test_a_hot_pixel_is_silenced_in_the_next_window_and_comes_back() -> None:
    """Pixel (1, 1) fires ten times as often as allowed; the others once each."""
    n_hot = 20 * MIN_RATE_HZ
    hot = np.linspace(0, WINDOW_US - 1, n_hot).astype(int)
    others = [(t_us, 2 + k % 6, 2) for k, t_us in enumerate(range(0, WINDOW_US, 100_000))]
    first = sorted([(int(t_us), 1, 1) for t_us in hot] + others)
    second = [(WINDOW_US + 10, 1, 1), (WINDOW_US + 20, 2, 2)]
    third = [(2 * WINDOW_US + 30, 1, 1)]
    stays = kept("hot=5", at(*first, *second, *third))
    assert all(stays[: len(first)])
    assert stays[len(first) :] == [False, True, True]


def test_a_hot_pixel_is_forgiven_by_a_window_of_silence() -> None:
    n_hot = 20 * MIN_RATE_HZ
    hot = [(int(t_us), 1, 1) for t_us in np.linspace(0, WINDOW_US - 1, n_hot)]
    quiet = [(k * 100, 3, 3) for k in range(4)]
    events = at(*sorted(hot + quiet), (3 * WINDOW_US, 1, 1))
    assert kept("hot=1", events)[-1]


def test_a_pixel_that_is_merely_busy_is_not_hot() -> None:
    events = at(*[(k * 30_000, 1, 1) for k in range(30)], (WINDOW_US + 10, 1, 1))
    assert all(kept("hot=1", events))


@given(events=event_arrays(), support_us=st.integers(1, 3000))
def test_background_activity_agrees_with_plain_python(events: EventArray, support_us: int) -> None:
    last: dict[tuple[int, int], int] = {}
    expected = []
    for t_us, x, y, _ in events.tolist():
        beside = [last.get((x + dx, y + dy)) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy]
        expected.append(any(t is not None and t_us - t <= support_us for t in beside))
        last[x, y] = t_us
    assert kept(f"baf={support_us}", events) == expected


@given(events=event_arrays(), period_us=st.integers(1, 3000))
def test_refractory_agrees_with_plain_python(events: EventArray, period_us: int) -> None:
    last: dict[tuple[int, int], int] = {}
    expected = []
    for t_us, x, y, _ in events.tolist():
        stays = (x, y) not in last or t_us - last[x, y] >= period_us
        if stays:
            last[x, y] = t_us
        expected.append(stays)
    assert kept(f"refractory={period_us}", events) == expected


@pytest.mark.parametrize(
    "specification", ["hot=2", "baf=500", "roi=1:1:5:4", "polarity=on", "refractory=700"]
)
@settings(max_examples=30)
@given(events=event_arrays(max_gap_us=100_000), cuts=st.lists(st.integers(0, 120), max_size=6))
def test_what_stays_does_not_depend_on_how_events_were_cut(
    specification: str, events: EventArray, cuts: list[int]
) -> None:
    (one,) = parse_filters(specification, SIZE)
    pieces = [piece for piece in np.split(events, sorted(cuts)) if len(piece)]
    found = np.concatenate([one.keep(piece) for piece in pieces])
    assert found.tolist() == kept(specification, events)


class Packets:
    name, is_live, sensor_size = "packets", True, SIZE

    def __init__(self, packets: list[EventPacket]) -> None:
        self.counters = {"late": 3}
        self.is_closed = False
        self._packets = packets

    def __iter__(self) -> Iterator[EventPacket]:
        return iter(self._packets)

    def close(self) -> None:
        self.is_closed = True


def test_a_chain_counts_what_each_filter_takes_and_keeps_the_time() -> None:
    events = as_events([1, 2, 3, 4], [0, 5, 5, 5], [0] * 4, [True, True, False, True])
    source = Packets([EventPacket(events, 10), EventPacket(events[:0], 20)])
    specification = "roi=4:0:4:6, polarity=on,refractory=100"
    filtered = FilteredSource(source, parse_filters(specification, SIZE))
    packets = list(filtered)
    assert [packet.end_us for packet in packets] == [10, 20]
    assert packets[0].events["t_us"].tolist() == [2]
    assert filtered.counters == {
        "late": 3, "filter_roi": 1, "filter_polarity": 1, "filter_refractory": 1,
    }  # fmt: skip
    assert filtered.is_live
    filtered.close()
    assert source.is_closed


def test_no_specification_is_no_filter() -> None:
    assert parse_filters("", SIZE) == []


@pytest.mark.parametrize(
    "specification",
    ["cold", "baf=x", "baf=0", "polarity=up", "polarity", "roi=1:2:3", "roi=9:0:1:1", "roi=0:0:0:1",
     "refractory=-5", "hot=1.5"],
)  # fmt: skip
def test_a_specification_that_cannot_be_meant_is_refused(specification: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_filters(specification, SIZE)
