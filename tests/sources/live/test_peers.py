"""Other people's programs at the other end: aestream, faery, dv-processing."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamvdib.events import EventArray, SensorSize
from streamvdib.sources import EventSource, open_source

pytestmark = pytest.mark.peer
DAVIS = SensorSize(346, 260)
HD = SensorSize(1280, 720)


def program(name: str) -> str:
    """Where a program is; the test is skipped without it."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"the command {name} is not installed")
    return found


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def recorded(path: Path, **options: Any) -> EventArray:
    source = open_source(path, **options)
    events = np.concatenate([packet.events for packet in source])
    source.close()
    return events


def first_of(source: EventSource, n_events: int) -> EventArray:
    """The first events, waiting for them for up to a minute.

    Without a watermark no packet comes when no event does, so after a lost datagram only closing
    the source ends the wait.
    """
    found: list[EventArray] = []
    give_up = threading.Timer(60.0, source.close)
    give_up.start()
    for packet in source:
        found.append(packet.events)
        if sum(map(len, found)) >= n_events:
            break
    give_up.cancel()
    source.close()
    return np.concatenate(found)


def without_newest(events: EventArray) -> EventArray:
    """Those of the newest time wait for a later one."""
    return events[events["t_us"] < events["t_us"][-1]]


@pytest.fixture
def running() -> Iterator[Any]:
    """Starts a program in the background, and ends it."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> None:
        processes.append(subprocess.Popen(words, stdout=subprocess.DEVNULL))

    yield start
    for process in processes:
        process.terminate()
        process.wait(10)


def test_aestream_sends_timed_words_that_we_read_exactly(shared_data: Path, running: Any) -> None:
    """aestream 0.6.4 repeats old events in its last datagram; they are late, and counted.

    It sends a file faster than its clock, so there is no watermark.
    """
    aestream, port = program("aestream"), free_port()
    path = shared_data / "aedat4" / "davis346_street_with_frames.aedat4"
    expected = without_newest(recorded(path))
    source = open_source(f"udp://127.0.0.1:{port}?width=346&height=260&watermark=off")
    packets = threading.Timer(
        0.5,
        running,
        (aestream, "input", "file", str(path), "output", "udp", "127.0.0.1", str(port),
         "--include-timestamp", "true"),
    )  # fmt: skip
    packets.start()
    events = first_of(source, len(expected))
    packets.join()
    assert source.counters["lost_datagrams"] == 0
    for field in ("x", "y", "on"):
        assert np.array_equal(events[field], expected[field]), field
    assert np.array_equal(events["t_us"] % 2**32, expected["t_us"] % 2**32)


def test_aestream_sends_untimed_words_that_get_the_time_of_arrival(
    shared_data: Path, running: Any
) -> None:
    aestream, port = program("aestream"), free_port()
    path = shared_data / "aedat4" / "davis346_street_with_frames.aedat4"
    expected = recorded(path)
    source = open_source(f"udp://127.0.0.1:{port}?width=346&height=260")
    starter = threading.Timer(
        0.5,
        running,
        (aestream, "input", "file", str(path), "output", "udp", "127.0.0.1", str(port)),
    )
    starter.start()
    events = first_of(source, len(expected))
    starter.join()
    assert source.counters["events_without_time"] == len(expected)
    assert source.counters["lost_datagrams"] == source.counters["queue_dropped"] == 0
    for field in ("x", "y", "on"):
        assert np.array_equal(events[field], expected[field]), field
    assert np.all(np.diff(events["t_us"]) >= 0)


@pytest.mark.parametrize(
    ("folder", "name", "size"),
    [
        ("aedat4", "davis346_street_with_frames.aedat4", DAVIS),
        ("prophesee", "imx636_same_recording.dat", HD),
    ],
)
def test_aestreams_standard_output_is_read_exactly(
    shared_data: Path, tmp_path: Path, folder: str, name: str, size: SensorSize
) -> None:
    path = shared_data / folder / name
    pipe = tmp_path / "aestream.pipe"
    subprocess.run(["mkfifo", str(pipe)], check=True)
    with subprocess.Popen(
        f"exec {program('aestream')} input file {path} output stdout > {pipe}", shell=True
    ) as process:
        source = open_source(f"pipe:{pipe}?once=1", sensor_size=size)
        events = np.concatenate([packet.events for packet in source])
        source.close()
        process.wait(60)
    assert np.array_equal(events, recorded(path))


@pytest.mark.parametrize("layout", ["t64_x16_y16_on8", "t32_x16_y15_on1"])
def test_faerys_datagrams_are_read_exactly(shared_data: Path, running: Any, layout: str) -> None:
    faery, port = program("faery"), free_port()
    path = shared_data / "event_stream" / "dvs_320x240.es"
    ours = {"t64_x16_y16_on8": "faery64", "t32_x16_y15_on1": "faery32"}[layout]
    expected = without_newest(recorded(path))
    source = open_source(f"udp://127.0.0.1:{port}?width=320&height=240&format={ours}&watermark=off")
    starter = threading.Timer(
        0.5,
        running,
        (faery, "input", "file", str(path), "output", "udp", f"127.0.0.1:{port}",
         "--format", layout, "--no-progress"),
    )  # fmt: skip
    starter.start()
    events = first_of(source, len(expected))
    starter.join()
    assert source.counters["lost_datagrams"] == 0
    assert np.array_equal(events, expected)


def test_faerys_standard_output_is_read_exactly(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "event_stream" / "dvs_320x240.es"
    pipe = tmp_path / "faery.pipe"
    subprocess.run(["mkfifo", str(pipe)], check=True)
    with subprocess.Popen(
        f"exec {program('faery')} input file {path} output stdout > {pipe}", shell=True
    ) as process:
        source = open_source(f"pipe:{pipe}?once=1&connect_s=60")
        assert source.sensor_size == SensorSize(320, 240)
        events = np.concatenate([packet.events for packet in source])
        source.close()
        process.wait(60)
    assert np.array_equal(events, recorded(path))


DV_SERVER = """
import os, sys, time
import dv_processing as dv
stream = dv.io.Stream.EventStream(0, "events", "CAM", (346, 260))
writer = dv.io.NetworkWriter("127.0.0.1", int(sys.argv[1]), stream)
print("ready", flush=True)
while writer.getClientCount() == 0:
    time.sleep(0.01)
for k in range(20):
    store = dv.EventStore()
    for i in range(100):
        store.push_back(1000 * k + 10 * i, i, k, i % 2 == 0)
    writer.writeEvents(store)
time.sleep(1.0)
os._exit(0)  # destroying the writer with a client connected never returns
"""


def test_a_dv_server_in_its_own_process_is_read_exactly_and_missed_when_it_ends() -> None:
    pytest.importorskip("dv_processing")
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", DV_SERVER, str(port)], stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        source = open_source(f"dv://127.0.0.1:{port}?connect_s=20")
        assert source.sensor_size == DAVIS
        found: list[EventArray] = []
        for packet in source:
            found.append(packet.events)
            if sum(map(len, found)) >= 1999:
                break
        server.wait(20)
        give_up_s = time.monotonic() + 20.0
        while source.status().is_connected:  # type: ignore[attr-defined]
            assert time.monotonic() < give_up_s
        source.close()
    events = np.concatenate(found)
    index = np.arange(len(events))
    assert np.array_equal(events["t_us"], 10 * index)
    assert np.array_equal(events["x"], index % 100)
    assert np.array_equal(events["y"], index // 100)
    assert np.array_equal(events["on"], index % 2 == 0)
