"""Events through standard input and named pipes."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streamvdib.replay.writers import open_writer
from streamvdib.replay.writers.text import text_lines

from streamvdib.errors import ConfigurationError, LiveSourceError, UnknownFormatError
from streamvdib.events import EventArray, EventPacket, SensorSize
from streamvdib.sources import open_source
from streamvdib.sources.byte_recognition import AnyDecoder
from streamvdib.sources.live import LiveSource
from streamvdib.sources.pipe import PipeFeed

FORMATS = (".csv", ".es", ".raw", ".svr")


def file_bytes(folder: Path, suffix: str, events: EventArray, size: SensorSize) -> bytes:
    writer = open_writer(folder / f"written{suffix}", size)
    for piece in np.array_split(events, 4):
        writer.write(EventPacket(piece, int(piece["t_us"][-1])))
    writer.close()
    return (folder / f"written{suffix}").read_bytes()


def write_in_thread(path: Path, pieces: list[bytes]) -> threading.Thread:
    """Open the pipe, write, close; once for every piece."""

    def write() -> None:
        for piece in pieces:
            with open(path, "wb") as pipe:
                pipe.write(piece)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "events.pipe"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(cuts=st.lists(st.integers(0, 3000), max_size=12))
def test_bytes_give_the_same_events_however_they_are_cut(
    tools: Any, tmp_path: Path, suffix: str, cuts: list[int]
) -> None:
    events = tools.some_events(300)
    data = file_bytes(tmp_path, suffix, events, tools.size)
    edges = [0, *sorted(cuts), len(data)]
    decoder = AnyDecoder("test")
    found = [decoder.decode(data[start:end]) for start, end in itertools.pairwise(edges)]
    found.append(decoder.decode(b"", ended=True))
    assert np.array_equal(np.concatenate(found), events)
    assert decoder.n_malformed == 0


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_named_pipe_gives_what_the_file_holds(
    tools: Any, tmp_path: Path, fifo: Path, suffix: str
) -> None:
    events = tools.some_events(5000)
    data = file_bytes(tmp_path, suffix, events, tools.size)
    thread = write_in_thread(fifo, [data])
    source = open_source(f"pipe:{fifo}?once=1", sensor_size=tools.size)
    assert np.array_equal(tools.collect(source), events)
    thread.join()


@pytest.mark.parametrize("suffix", [".es", ".raw", ".svr"])
def test_a_stream_that_tells_its_sensor_needs_no_size(
    tools: Any, tmp_path: Path, fifo: Path, suffix: str
) -> None:
    data = file_bytes(tmp_path, suffix, tools.some_events(10), tools.size)
    thread = write_in_thread(fifo, [data])
    source = open_source(fifo)
    assert source.sensor_size == tools.size
    source.close()
    thread.join()


def test_faerys_text_tells_the_sensors_size_in_its_header() -> None:
    decoder = AnyDecoder("test")
    events = decoder.decode(b"t,x@346,y@260,on\n5,1,2,1\n7,3,4,0\n")
    assert decoder.sensor_size == SensorSize(346, 260)
    assert events.tolist() == [(5, 1, 2, True), (7, 3, 4, False)]


def test_a_file_of_faerys_text_tells_it_too(tmp_path: Path) -> None:
    (tmp_path / "faery.csv").write_bytes(b"t,x@346,y@260,on\n5,1,2,1\n")
    source = open_source(tmp_path / "faery.csv")
    assert source.sensor_size == SensorSize(346, 260)
    assert [packet.events.tolist() for packet in source] == [[(5, 1, 2, True)]]


def test_a_pipe_loses_nothing_however_small_the_queue(tools: Any, fifo: Path) -> None:
    events = tools.some_events(20_000)
    thread = write_in_thread(fifo, [text_lines(events)])
    source = open_source(f"pipe:{fifo}?once=1&queue=50", sensor_size=tools.size)
    assert np.array_equal(tools.collect(source), events)
    assert source.status().n_dropped == 0
    thread.join()


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_writer_that_dies_in_the_middle_is_counted_and_the_next_one_is_read(
    tools: Any, tmp_path: Path, fifo: Path, suffix: str
) -> None:
    first, second = tools.some_events(200), tools.some_events(200, start_us=50_000)
    torn = file_bytes(tmp_path, suffix, first, tools.size)[:-3]
    whole = file_bytes(tmp_path, suffix, second, tools.size)
    feed = PipeFeed(str(fifo), tools.size)
    feed.open()
    found = []
    for data in (torn, whole):
        thread = write_in_thread(fifo, [data])
        with pytest.raises(LiveSourceError, match="it has gone"):  # noqa: PT012
            while True:
                batch = feed.read(1.0)
                assert batch is not None
                found.append(batch.events)
        thread.join()
        feed.close()
        feed.open()
    feed.close()
    events = np.concatenate(found)
    n_first = len(events) - 200
    assert np.array_equal(events[n_first:], second)
    assert np.array_equal(events[:n_first], first[:n_first])
    assert 150 <= n_first < 201
    assert feed.counters["bytes_cut_off"] + feed.counters["malformed"] > 0


def test_a_source_waits_for_the_next_writer_of_its_pipe(tools: Any, fifo: Path) -> None:
    first, second = tools.some_events(100), tools.some_events(100, start_us=50_000)
    source = cast("LiveSource", open_source(f"pipe:{fifo}", sensor_size=tools.size))

    def write_both() -> None:
        fifo.write_bytes(text_lines(first))
        while source.counters["reconnections"] == 0:
            time.sleep(0.01)
        fifo.write_bytes(text_lines(second))

    thread = threading.Thread(target=write_both)
    thread.start()
    n_found = 0
    for packet in source:
        n_found += len(packet.events)
        if n_found >= 190:
            break
    source.close()
    thread.join()
    assert source.status().n_received == 200


@pytest.mark.parametrize("n_bytes", [3, 5000])
def test_what_is_no_stream_of_events_is_refused(tools: Any, fifo: Path, n_bytes: int) -> None:
    thread = write_in_thread(fifo, [np.random.default_rng(1).bytes(n_bytes)])
    source = open_source(f"pipe:{fifo}?once=1", sensor_size=tools.size)
    with pytest.raises(UnknownFormatError, match="must be text"):
        tools.collect(source)
    source.close()
    thread.join()


def test_text_without_a_size_asks_for_it(fifo: Path) -> None:
    thread = write_in_thread(fifo, [b"1,2,3,1\n2,3,4,0\n"])
    with pytest.raises(ConfigurationError, match="--sensor-size"):
        open_source(fifo)
    thread.join()


def test_a_writer_that_never_comes_is_an_error_when_its_header_is_needed(fifo: Path) -> None:
    with pytest.raises(LiveSourceError, match="must begin within"):
        open_source(f"pipe:{fifo}?connect_s=0.05")


@pytest.mark.parametrize(
    ("content", "kind", "told"),
    [
        (b"", LiveSourceError, "ended without a byte"),
        (b"\x07\x08\x80\x00\x01" * 9, UnknownFormatError, "must be text.*it begins with"),
        (b"Event Str", UnknownFormatError, "must be text.*it begins with b'Event Str'"),
        (b"1,2,3,1", ConfigurationError, "--sensor-size"),
    ],
)
def test_a_stream_that_ends_before_its_size_is_known_is_told_as_what_it_is(
    content: bytes, kind: type[Exception], told: str
) -> None:
    """At once: nothing else will come through a standard input that has ended."""
    read_end, write_end = os.pipe()
    os.write(write_end, content)
    os.close(write_end)
    feed = PipeFeed("-", None, head_s=1000)
    with pytest.MonkeyPatch.context() as patch, os.fdopen(read_end, "rb") as pipe:
        patch.setattr(sys, "stdin", pipe)
        with pytest.raises(kind, match=told):
            feed.open()
    feed.close()


def test_a_file_that_is_no_pipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1,2,3,1\n")
    with pytest.raises(LiveSourceError, match="named pipe"):
        open_source(f"pipe:{tmp_path / 'file'}?connect_s=0", sensor_size=SensorSize(9, 9))


def test_bad_lines_are_counted_and_passed_over() -> None:
    decoder = AnyDecoder("test")
    data = b"1,2,3,1\nnonsense\n2,3,4,0\n7,7\n9,9,9,1\n"
    assert decoder.decode(data)["t_us"].tolist() == [1, 2, 9]
    assert decoder.n_malformed == 2


def test_a_damaged_chunk_of_our_own_container_is_passed_over(tools: Any, tmp_path: Path) -> None:
    events = tools.some_events(400)
    data = bytearray(file_bytes(tmp_path, ".svr", events, tools.size))
    data[len(data) // 2] ^= 0xFF
    decoder = AnyDecoder("test")
    found = decoder.decode(bytes(data))
    assert decoder.n_malformed == 1
    assert len(found) == 300


@settings(max_examples=200)
@given(
    data=st.binary(max_size=300),
    head=st.sampled_from([b"", b"SVR1", b"Event Stream", b"% evt 3.0\n", b"%", b"t,x,y,p\n"]),
)
def test_any_bytes_end_in_events_or_a_clear_error(data: bytes, head: bytes) -> None:
    decoder = AnyDecoder("test")
    try:
        decoder.decode(head + data)
        decoder.decode(b"", ended=True)
    except (UnknownFormatError, ConfigurationError):
        return
    assert decoder.n_malformed >= 0


def test_standard_input_is_read_to_its_end(tools: Any) -> None:
    events = tools.some_events(3000)
    program = (
        "from streamvdib.sources import open_source; from streamvdib.events import SensorSize\n"
        f"source = open_source('-', sensor_size=SensorSize{tuple(tools.size)})\n"
        "packets = list(source)\n"
        "print(sum(len(p.events) for p in packets), packets[-1].end_us)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=text_lines(events), capture_output=True, check=True
    )
    assert done.stdout.split() == [b"3000", str(int(events["t_us"][-1]) + 1).encode()]
