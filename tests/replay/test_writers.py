"""Events written in a format and read back are the same events."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streamvdib.replay.writers import ENCODERS, open_writer

from streamvdib.errors import ConfigurationError, SinkError
from streamvdib.events import EventArray, EventPacket, SensorSize, TimedImage, as_events
from streamvdib.sources import open_source

SIZE = SensorSize(240, 180)
FORMATS = tuple(ENCODERS)
GAPS_US = st.one_of(st.integers(0, 300), st.integers(0, 20_000), st.just(40_000_000))


def packets(events: EventArray, n_packets: int) -> list[EventPacket]:
    """``events`` cut into about ``n_packets`` packets, between two times each."""
    cuts = np.linspace(0, len(events), n_packets + 1).astype(int)[1:-1]
    ends = sorted({int(events["t_us"][cut]) for cut in cuts} | {int(events["t_us"][-1]) + 1})
    found, start = [], 0
    for end_us in ends:
        stop = int(np.searchsorted(events["t_us"], end_us))
        found.append(EventPacket(events[start:stop], end_us))
        start = stop
    return found


def write(path: Path, events: EventArray, *, n_packets: int = 3, origin_us: int = 0) -> None:
    writer = open_writer(path, SIZE, origin_us=origin_us)
    try:
        for packet in packets(events, n_packets):
            writer.write(packet)
    finally:
        writer.close()
    assert writer.n_events == len(events)


def read(path: Path) -> EventArray:
    source = open_source(path, sensor_size=SIZE)
    read_back = np.concatenate([packet.events for packet in source])
    source.close()
    return read_back


@st.composite
def event_arrays(draw: st.DrawFn) -> EventArray:
    gaps = draw(st.lists(GAPS_US, min_size=1, max_size=60))
    n = len(gaps)
    x = draw(st.lists(st.integers(0, SIZE.width - 1), min_size=n, max_size=n))
    y = draw(st.lists(st.integers(0, SIZE.height - 1), min_size=n, max_size=n))
    on = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    return as_events(np.cumsum(gaps), x, y, on)


def many_events(n_events: int = 20_000) -> EventArray:
    random = np.random.default_rng(7)
    return as_events(
        np.cumsum(random.integers(0, 200, n_events)),
        random.integers(0, SIZE.width, n_events),
        random.integers(0, SIZE.height, n_events),
        random.random(n_events) < 0.5,
    )


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_written_is_what_is_read(suffix: str, tmp_path: Path) -> None:
    events = many_events()
    write(tmp_path / f"a{suffix}", events, n_packets=50)
    assert np.array_equal(read(tmp_path / f"a{suffix}"), events)


@pytest.mark.parametrize("suffix", [".es", ".raw", ".svr", ".csv", ".npy", ".aedat4"])
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(events=event_arrays(), n_packets=st.integers(1, 5))
def test_any_events_survive_writing_and_reading(
    suffix: str, tmp_path: Path, events: EventArray, n_packets: int
) -> None:
    write(tmp_path / f"a{suffix}", events, n_packets=n_packets)
    assert np.array_equal(read(tmp_path / f"a{suffix}"), events)


@pytest.mark.parametrize("suffix", [".es", ".raw", ".aedat4"])
def test_faery_reads_the_same_events(suffix: str, tmp_path: Path) -> None:
    """An oracle that shares no code with the writers."""
    faery = pytest.importorskip("faery")
    events = many_events(5_000)
    write(tmp_path / f"a{suffix}", events)
    chunks = list(faery.events_stream_from_file(tmp_path / f"a{suffix}"))
    found = np.concatenate(chunks)
    for ours, theirs in (("t_us", "t"), ("x", "x"), ("y", "y"), ("on", "on")):
        assert np.array_equal(events[ours], found[theirs]), ours


def test_dv_processing_reads_the_same_events_and_frames(tmp_path: Path) -> None:
    """An oracle that shares no code with the writer."""
    dv = pytest.importorskip("dv_processing")
    events = many_events(5_000)
    pixels = np.arange(SIZE.width * SIZE.height).astype(np.uint8).reshape(SIZE[::-1])
    writer = open_writer(tmp_path / "a.aedat4", SIZE)
    last_us = int(events["t_us"][-1])
    writer.write(EventPacket(events, last_us + 1, (TimedImage(last_us, pixels),)))
    writer.close()
    reader = dv.io.MonoCameraRecording(str(tmp_path / "a.aedat4"))
    assert tuple(reader.getEventResolution()) == SIZE
    found = reader.getNextEventBatch("events").numpy()
    for ours, theirs in (("t_us", "timestamp"), ("x", "x"), ("y", "y"), ("on", "polarity")):
        assert np.array_equal(events[ours], found[theirs]), ours
    frame = reader.getNextFrame("frames")
    assert frame.timestamp == last_us
    assert np.array_equal(np.squeeze(frame.image), pixels)


def test_event_stream_by_hand(tmp_path: Path) -> None:
    """130 us after the start is one byte for 127 and a step of 3; y counts from the bottom."""
    events = as_events([130, 130], [1, 0x102], [179, 0], [True, False])
    write(tmp_path / "a.es", events, n_packets=1)
    header = b"Event Stream\x02\x00\x00\x01\xf0\x00\xb4\x00"
    body = bytes([0xFF, 3 << 1 | 1, 1, 0, 0, 0]) + bytes([0, 2, 1, 179, 0])
    assert (tmp_path / "a.es").read_bytes() == header + body


def test_evt3_by_hand(tmp_path: Path) -> None:
    events = as_events([4097, 4097], [5, 6], [7, 7], [True, False])
    write(tmp_path / "a.raw", events, n_packets=1)
    body = (tmp_path / "a.raw").read_bytes().split(b"% end\n")[1]
    words = np.frombuffer(body, "<u2").tolist()
    assert words == [0x8000, 0x8001, 0x6001, 0x0007, 0x2805, 0x2006]


def test_atis40_by_hand(tmp_path: Path) -> None:
    """The second event is 2^23 us: a mark in row 240 adds 2^13 to what 23 bits can say."""
    events = as_events([3, 1 << 23], [1, 2], [4, 5], [True, False])
    write(tmp_path / "a.bin", events, n_packets=1)
    stored = ((1 << 23) - (1 << 13)).to_bytes(3, "big")
    expected = bytes([1, 4, 0x80, 0, 3]) + bytes([0, 240]) + stored + bytes([2, 5]) + stored
    assert (tmp_path / "a.bin").read_bytes() == expected


def test_times_are_stored_relative_to_an_origin(tmp_path: Path) -> None:
    events = many_events(100)
    late = events.copy()
    late["t_us"] += 1_600_000_000_000_000
    with pytest.raises(ConfigurationError, match="--zero-time"):
        write(tmp_path / "a.es", late)
    write(tmp_path / "b.es", late, origin_us=1_600_000_000_000_000)
    assert np.array_equal(read(tmp_path / "b.es"), events)


@pytest.mark.parametrize("suffix", [".raw", ".bin"])
def test_a_sensor_too_large_for_a_format_is_refused(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="sensors of at most"):
        open_writer(tmp_path / f"a{suffix}", SensorSize(4096, 4096))


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="must end in"):
        open_writer(tmp_path / "a.xyz", SIZE)


def _hold(path: Path, ready: object, done: object) -> None:
    writer = open_writer(path, SIZE)
    ready.set()  # type: ignore[attr-defined]
    done.wait(20)  # type: ignore[attr-defined]
    writer.close()


@pytest.mark.parametrize("suffix", [".svr", ".aedat4"])
def test_two_writers_on_one_file_are_refused(suffix: str, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / f"a{suffix}", ready, done))
    other.start()
    try:
        assert ready.wait(20)
        with pytest.raises(SinkError, match="one writer"):
            open_writer(tmp_path / f"a{suffix}", SIZE)
    finally:
        done.set()
        other.join(20)


def test_writing_to_a_closed_file_is_refused(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "a.svr", SIZE)
    writer.close()
    writer.close()
    with pytest.raises(SinkError, match="closed"):
        writer.write(EventPacket(many_events(3), 10_000))
