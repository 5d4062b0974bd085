"""A live source as a whole, with a scripted device and a faked clock."""

from __future__ import annotations

import io
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamvdib.errors import ConfigurationError, LiveSourceError
from streamvdib.events import (
    EventArray,
    EventPacket,
    SensorSize,
    TimedImage,
    as_events,
    empty_events,
)
from streamvdib.sources import EventSource
from streamvdib.sources.cutter import MAX_WAITING, PacketCutter
from streamvdib.sources.devices import DeviceFeed
from streamvdib.sources.feed import Batch
from streamvdib.sources.live import LiveOptions, LiveSource
from streamvdib.sources.queue import Popped
from streamvdib.sources.watched import WatchedSource

GONE = LiveSourceError("scripted: it has gone")


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(cuts=st.lists(st.integers(0, 400), max_size=10), step_us=st.sampled_from([1, 3, 50]))
def test_packets_hold_the_same_events_however_they_were_cut(
    tools: Any, cuts: list[int], step_us: int
) -> None:
    """Also where many events have one time."""
    events = tools.some_events(400, step_us=step_us)
    batches = [Batch(piece) for piece in np.split(events, sorted(cuts))]
    source = LiveSource(tools.ScriptedFeed(batches), clock=tools.FakeClock())
    assert np.array_equal(tools.collect(source), events)


def test_it_is_an_event_source(tools: Any) -> None:
    source = LiveSource(tools.ScriptedFeed([]), clock=tools.FakeClock())
    assert isinstance(source, EventSource)
    assert source.is_live
    assert tools.collect(source).size == 0
    source.close()


def silent_scene(tools: Any, clock_rate: float) -> list[Any]:
    """Packets of a scene with three events and then silence, the wall clock moved by hand."""
    clock = tools.FakeClock()
    feed = tools.ScriptedFeed([Batch(as_events([100, 200, 200], [1] * 3, [1] * 3, [True] * 3))])
    options = LiveOptions(packet_us=1000, silence_us=50_000, clock_rate=clock_rate)
    source = LiveSource(feed, options, clock=clock)
    feed._script = iter([next(feed._script), *[Batch(empty_events())] * 10**6])
    packets = []
    for packet in source:
        packets.append(packet)
        clock.time_us += 60_000
        if len(packets) == 4:
            source.close()
    return packets


def test_a_silent_scene_ticks_by_the_wall_clock(tools: Any) -> None:
    """100 us is complete at once; the two at 200 us once the wall clock says so."""
    packets = silent_scene(tools, 1.0)
    assert [len(packet.events) for packet in packets] == [1, 2, 0, 0]
    assert [packet.end_us for packet in packets] == [200, 10_200, 70_200, 130_200]


def test_the_watermark_follows_a_slowed_clock(tools: Any) -> None:
    packets = silent_scene(tools, 0.25)
    assert [packet.end_us for packet in packets] == [200, 2_700, 17_700, 32_700]


def test_an_event_that_the_watermark_has_passed_is_counted(tools: Any) -> None:
    clock = tools.FakeClock()
    first, last = (
        as_events([100], [1], [1], [True]),
        as_events([150, 90_000], [1] * 2, [1] * 2, [0] * 2),
    )
    waiting = [Batch(empty_events())] * 10**6
    feed = tools.ScriptedFeed([])
    feed._script = iter([Batch(first), *waiting])
    source = LiveSource(feed, LiveOptions(packet_us=1000, silence_us=0), clock=clock)
    packets = iter(source)
    clock.time_us += 1000
    while next(packets).end_us <= 150:
        clock.time_us += 1000
    feed._script = iter([Batch(last)])
    rest = [packet for packet in packets if len(packet.events)]
    assert [int(t) for packet in rest for t in packet.events["t_us"]] == [90_000]
    assert source.counters["behind_watermark"] == 1
    source.close()


def test_a_broken_connection_is_made_again_with_growing_waits(tools: Any) -> None:
    clock = tools.FakeClock()
    before, after = tools.some_events(50), tools.some_events(50, start_us=2_000_000)
    feed = tools.ScriptedFeed(
        [Batch(before), GONE, Batch(after)], opens=[True, False, False, False, True]
    )
    feed.clock = clock
    source = LiveSource(feed, LiveOptions(clock_rate=0.0), clock=clock)
    assert np.array_equal(tools.collect(source), np.concatenate([before, after]))
    waits_us = np.diff(feed.open_times_us).tolist()
    assert waits_us == [100_000, 200_000, 400_000, 800_000]
    assert source.counters["reconnections"] == 1
    assert feed.n_opened == 2


@pytest.mark.parametrize("jump_us", [-86_400_000_000, 3_600_000_000, 86_400_000_000])
def test_a_jump_of_the_wall_clock_is_no_lag(tools: Any, jump_us: int) -> None:
    """What was delivered is compared with the newest event, both by the sensor's clock."""
    clock = tools.FakeClock()
    batches = [Batch(tools.some_events(50, start_us=start)) for start in (0, 50_000, 100_000)]

    def jump() -> None:
        clock.time_us += jump_us

    feed = tools.ScriptedFeed([batches[0], jump, batches[1], jump, batches[2]])
    source = LiveSource(feed, LiveOptions(clock_rate=0.0), clock=clock)
    lags_us = []
    for _ in source:
        lags_us.append(source.status().lag_us)
    assert 0 <= min(lags_us) <= max(lags_us) < 150_000
    assert source.status().n_delivered == 150
    source.close()


def test_the_first_connection_is_given_up_after_a_while(tools: Any) -> None:
    clock = tools.FakeClock()
    feed = tools.ScriptedFeed([], opens=[False] * 100)
    with pytest.raises(LiveSourceError, match="nothing answers"):
        LiveSource(feed, LiveOptions(connect_us=1_000_000), clock=clock)
    assert sum(clock.slept_us) <= 1_000_000


def test_a_device_that_fails_for_good_is_an_error_and_not_a_silence(tools: Any) -> None:
    source = LiveSource(
        tools.ScriptedFeed([ZeroDivisionError("broken driver")]), clock=tools.FakeClock()
    )
    with pytest.raises(LiveSourceError, match="ZeroDivisionError: broken driver"):
        tools.collect(source)


def test_received_is_delivered_plus_dropped_plus_refused(tools: Any) -> None:
    """A queue of 100 under 5,000 events of which some are late and some off the sensor."""
    events = tools.some_events(5000)
    events["t_us"][50::100] -= 40
    events["x"][70::100] = 5000
    batches = [Batch(piece) for piece in np.array_split(events, 20)]
    source = LiveSource(
        tools.ScriptedFeed(batches), LiveOptions(capacity=100), clock=tools.FakeClock()
    )
    found = tools.collect(source)
    status = source.status()
    assert status.n_received == 5000
    assert status.n_delivered == len(found)
    assert status.n_held == 0
    assert status.n_received == status.n_delivered + status.n_dropped + status.n_refused
    assert source.counters["off_sensor"] == 50


def popped(events: EventArray) -> Popped:
    """What a queue gives that held nothing else."""
    return Popped(events, (), True, None, 0, 0, False)


def test_a_clock_that_stands_still_does_not_fill_the_memory() -> None:
    """At the most the events of one time that wait are as many as ``MAX_WAITING``."""
    cutter = PacketCutter(silence_us=50_000, clock_rate=1.0)
    events = empty_events(200_000)
    for _ in range(10):
        packet = cutter.cut(popped(events))
        assert packet is None or len(packet.events) == 0
        assert cutter.n_waiting <= MAX_WAITING
    assert cutter.n_stuck == 2_000_000 - MAX_WAITING
    later = cutter.cut(popped(as_events([5], [0], [0], [True])))
    assert later is not None
    assert len(later.events) == MAX_WAITING
    assert (later.end_us, cutter.n_waiting) == (5, 1)


@pytest.mark.parametrize("n_at_once", [100, 76_800])
def test_every_pixel_of_a_sensor_at_one_time_is_delivered_however_it_is_cut(
    n_at_once: int, tools: Any
) -> None:
    """As many as of 320x240: the first picture of the recording dvs_320x240.es; then one more."""
    n_events = 76_800
    events = as_events(np.zeros(n_events), np.arange(n_events) % 5, [1] * n_events, [1] * n_events)
    later = as_events([7], [1], [1], [True])
    batches = [Batch(events[k : k + n_at_once]) for k in range(0, n_events, n_at_once)]
    source = LiveSource(
        tools.ScriptedFeed([*batches, Batch(later)]),
        LiveOptions(is_blocking=True),
        clock=tools.FakeClock(),
    )
    np.testing.assert_array_equal(tools.collect(source), np.concatenate([events, later]))
    assert source.counters["stuck_clock"] == 0


def test_the_sensors_own_images_come_with_the_time_they_belong_to(tools: Any) -> None:
    pixels = np.zeros((2, 2), np.uint8)
    images = (TimedImage(5, pixels), TimedImage(150, pixels))
    batches = [Batch(as_events([100], [1], [1], [True]), images=images), Batch(empty_events())]
    batches.append(Batch(as_events([200, 300], [1] * 2, [1] * 2, [True] * 2)))
    source = LiveSource(tools.ScriptedFeed(batches), clock=tools.FakeClock())
    found = [(image.t_us, packet.end_us) for packet in source for image in packet.images]
    source.close()
    assert [t_us for t_us, _ in found] == [5, 150]
    assert all(t_us < end_us for t_us, end_us in found)


def test_the_status_line_says_what_a_user_asks(tools: Any) -> None:
    clock = tools.FakeClock()
    source = LiveSource(tools.ScriptedFeed([Batch(tools.some_events(1000))]), clock=clock)
    tools.collect(source)
    clock.time_us += 500_000
    line = str(source.status())
    assert line.startswith("scripted DISCONNECTED: 2 kev/s, queue 0%, dropped 0")


def test_options_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        LiveOptions(packet_us=0)


class FakeDriver:
    """A camera that can be unplugged."""

    def __init__(self, batches: list[Batch | None], size: SensorSize) -> None:
        self.name = "fake://camera"
        self.sensor_size = size
        self.lost = 0
        self.is_closed = False
        self._batches = iter(batches)

    def poll(self) -> Batch | None:
        try:
            return next(self._batches)
        except StopIteration:
            raise LiveSourceError("fake://camera: unplugged") from None

    def close(self) -> None:
        self.is_closed = True


def test_time_goes_on_while_a_camera_is_unplugged(tools: Any) -> None:
    clock = tools.FakeClock()
    feed = tools.ScriptedFeed(
        [
            Batch(as_events([100], [1], [1], [True])),
            GONE,
            Batch(as_events([900], [1], [1], [True])),
        ],
        opens=[True, *[False] * 5, True],
    )
    packets: list[EventPacket] = []

    def sleep_until_seen(duration_us: int) -> None:
        n_before, give_up_s = len(packets), time.monotonic() + 0.05
        clock.time_us += duration_us
        while len(packets) == n_before and time.monotonic() < give_up_s:
            time.sleep(0.0005)

    clock.sleep_us = sleep_until_seen
    source = LiveSource(feed, LiveOptions(silence_us=0, packet_us=100_000), clock=clock)
    for packet in source:
        packets.append(packet)
    source.close()
    assert sum(len(packet.events) for packet in packets) == 2
    assert packets[-1].end_us > 1_000_000
    assert source.counters["clock_resets"] == 1


def test_a_reader_that_was_held_up_makes_no_silence(tools: Any) -> None:
    """The clock jumps by a second inside a read that then gives the events of that second."""
    clock = tools.FakeClock()

    def hold_up() -> None:
        clock.time_us += 1_000_000

    first = as_events([100, 200], [1, 1], [1, 1], [True, True])
    second = as_events([300, 400], [1, 1], [1, 1], [True, True])
    script = [Batch(first), Batch(empty_events()), hold_up, Batch(second)]
    source = LiveSource(tools.ScriptedFeed(script), LiveOptions(silence_us=0), clock=clock)
    assert tools.collect(source)["t_us"].tolist() == [100, 200, 300, 400]


def test_a_camera_unplugged_and_plugged_in_again_goes_on(tools: Any) -> None:
    """Its clock starts again at zero; time goes on where it was."""
    first, second = tools.some_events(300), tools.some_events(300, seed=1)
    drivers = [
        FakeDriver([Batch(first), None], tools.size),
        FakeDriver([None, Batch(second)], tools.size),
    ]
    shelf: list[FakeDriver | None] = [drivers[0], None, None, drivers[1]]

    def plugged_in() -> FakeDriver:
        driver = shelf.pop(0) if shelf else None
        if driver is None:
            raise LiveSourceError("fake://camera: nothing is plugged in")
        return driver

    clock = tools.FakeClock()
    feed = DeviceFeed("fake://", plugged_in, clock=clock)
    source = LiveSource(feed, LiveOptions(clock_rate=0.0), clock=clock)
    assert source.sensor_size == tools.size
    found = []
    for packet in source:
        found.append(packet.events)
        # The newest event waits for a later one, which never comes.
        if sum(map(len, found)) >= 598 and source.status().n_received == 600:
            break
    source.close()
    events = np.concatenate(found)
    shift = int(first["t_us"][-1]) - int(second["t_us"][0])
    second["t_us"] += shift
    assert np.array_equal(events, np.concatenate([first, second])[: len(events)])
    assert source.counters["reconnections"] == 1
    assert source.counters["clock_resets"] == 1
    assert drivers[0].is_closed
    assert drivers[1].is_closed


def test_another_camera_than_the_one_that_went_is_refused(tools: Any) -> None:
    drivers = [FakeDriver([], tools.size), FakeDriver([], SensorSize(2, 2))]
    feed = DeviceFeed("fake://", lambda: drivers.pop(0), clock=tools.FakeClock())
    feed.open()
    feed.close()
    with pytest.raises(LiveSourceError, match="same camera"):
        feed.open()


def test_losses_that_a_library_reports_are_counted_over_reconnections(tools: Any) -> None:
    drivers = [FakeDriver([Batch(empty_events())], tools.size) for _ in range(2)]
    for driver in drivers:
        driver.lost = 3
    rest = list(drivers)
    feed = DeviceFeed("fake://", lambda: rest.pop(0), clock=tools.FakeClock())
    for _ in range(2):
        feed.open()
        feed.read(0.0)
        feed.close()
    assert feed.counters["lost_in_device"] == 6


class RecordedPackets:
    """A recording of 40 packets of 100 events."""

    name, is_live, sensor_size = "recorded", False, SensorSize(9, 9)

    def __init__(self, packet: EventPacket) -> None:
        self.counters = {"late": 2, "off_sensor": 0}
        self._packet = packet

    def __iter__(self) -> Any:
        return iter([self._packet] * 40)

    def close(self) -> None: ...


def test_every_second_a_line_says_how_it_goes(tools: Any) -> None:
    """A packet of 100 events every 100 ms is 1,000 events a second."""
    clock, stream = tools.FakeClock(), io.StringIO()
    packet = EventPacket(tools.some_events(100), 10_000)
    watched = WatchedSource(RecordedPackets(packet), clock=clock, stream=stream)
    for _ in watched:
        clock.time_us += 100_000
    assert set(stream.getvalue().splitlines()[1:]) == {"recorded: 1000 ev/s, late 2"}


def test_the_line_of_a_live_source_is_its_status(tools: Any) -> None:
    clock, stream = tools.FakeClock(), io.StringIO()

    def wait() -> None:
        clock.time_us += 2_000_000

    script = [wait, Batch(tools.some_events(100))]
    live = LiveSource(tools.ScriptedFeed(script), LiveOptions(clock_rate=0.0), clock=clock)
    watched = WatchedSource(live, clock=clock, stream=stream)
    n_events = sum(len(packet.events) for packet in watched)
    watched.close()
    assert n_events == 100
    assert stream.getvalue().startswith("scripted")
    assert watched.is_live
