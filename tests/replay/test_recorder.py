"""Recording beside decoding: what is kept, what is lost, and what happens when the disk refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamvdib.replay.recorder import RELATIVE, RecordedSource, Recorder
from streamvdib.replay.writers import ENCODERS, open_writer
from streamvdib.replay.writers.files import FileWriter

from streamvdib.errors import RecordingError, SinkError, TruncatedRecordingError
from streamvdib.events import EVENT_DTYPE, EventArray, EventPacket, SensorSize
from streamvdib.sources import open_source, svr
from tests.sources.written import delivered


def read(path: Path, **options: Any) -> EventArray:
    source = open_source(path, **options)
    events = np.concatenate([np.empty(0, EVENT_DTYPE), *(packet.events for packet in source)])
    source.close()
    return events


@pytest.mark.parametrize("suffix", [".svr", ".aedat4", ".es", ".raw", ".csv"])
def test_what_passes_is_recorded(tools: Any, tmp_path: Path, suffix: str) -> None:
    events = tools.some_events(20_000, start_us=1_600_000_000_000_000)
    path = tmp_path / f"a{suffix}"
    recorder = Recorder(path, tools.size)
    source = RecordedSource(tools.MemorySource(tools.cut(events)), recorder)
    passed = np.concatenate([packet.events for packet in source])
    source.close()
    source.close()
    assert np.array_equal(passed, events)
    if suffix in RELATIVE:
        events["t_us"] -= events["t_us"][0]
    assert np.array_equal(read(path, sensor_size=tools.size), events)
    status = recorder.status()
    assert (status.n_given, status.n_written, status.n_dropped) == (20_000, 20_000, 0)
    assert status.error is None
    assert source.counters == {"record_dropped": 0}


WRITE_FOR_EVER = """
import sys, time
import numpy as np
from streamvdib.events import EventPacket, SensorSize, as_events
from streamvdib.replay.recorder import Recorder
recorder = Recorder(sys.argv[1], SensorSize(240, 180))
t = np.arange(1000)
for k in range(10**9):
    events = as_events(t + 1000 * k, t % 240, t % 180, t % 2 == 0)
    recorder.push(EventPacket(events, 1000 * k + 1000))
    if k % 50 == 0:
        print(recorder.status().n_written, flush=True)
    time.sleep(0.001)
"""


def read_torn(path: Path, size: SensorSize) -> EventArray:
    """What a recording whose last write may be torn gives: the same strictly and leniently.

    Of .npy the header promises nothing before it is closed, so it is read leniently only.
    """
    kept = read(path, lenient=True, sensor_size=size)
    if path.suffix != ".npy":
        strict, error = delivered(open_source(path, sensor_size=size))
        assert error is None or isinstance(error, TruncatedRecordingError)
        assert np.array_equal(strict, kept)
    return kept


@pytest.mark.parametrize("suffix", ENCODERS)
def test_a_killed_recording_is_good_up_to_what_was_written(suffix: str, tmp_path: Path) -> None:
    """The kill may fall into a write, and the system then has taken a part of it."""
    path = tmp_path / f"a{suffix}"
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        n_written = 0
        while n_written < 100_000:
            n_written = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
    events = read_torn(path, SensorSize(240, 180))
    assert len(events) >= n_written
    assert np.array_equal(events["t_us"], np.arange(len(events)))


@pytest.mark.parametrize("suffix", ENCODERS)
def test_a_recording_torn_anywhere_in_its_last_write_is_good_up_to_there(
    suffix: str, tools: Any, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    events = tools.some_events(120)
    events["t_us"] -= events["t_us"][0]
    writer = open_writer(path, tools.size)
    writer.write(EventPacket(events[:90], int(events["t_us"][90])))
    n_whole = path.stat().st_size
    writer.write(EventPacket(events[90:], int(events["t_us"][-1]) + 1))
    data = path.read_bytes()
    writer.close()
    torn = tmp_path / f"torn{suffix}"
    for n_bytes in range(n_whole, len(data)):
        torn.write_bytes(data[:n_bytes])
        kept = read_torn(torn, tools.size)
        assert 90 <= len(kept) <= 120
        assert np.array_equal(kept, events[: len(kept)])


class SlowOrFullDisk:
    """A file whose writes wait for a permit, and fail after some."""

    def __init__(self, writer: FileWriter, n_good: int) -> None:
        self.n_events = 0
        self.may_write = threading.Event()
        self._writer = writer
        self._n_good = n_good

    def write(self, packet: EventPacket) -> None:
        self.may_write.wait(20)
        if self.n_events >= self._n_good:
            raise SinkError("a.svr: the disk must take the events; No space left on device")
        self._writer.write(packet)
        self.n_events += len(packet.events)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def test_a_full_disk_ends_the_recording_with_an_error_while_decoding_goes_on(
    tools: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.svr"
    writer = open_writer(path, tools.size)
    assert isinstance(writer, FileWriter)
    disk = SlowOrFullDisk(writer, n_good=1)
    disk.may_write.set()
    recorder = Recorder(path, tools.size, writer=disk)
    events = tools.some_events(10_000)
    told: list[str] = []
    source = RecordedSource(tools.MemorySource(tools.cut(events)), recorder, tell=told.append)
    passed = 0
    for packet in source:
        passed += len(packet.events)
        while recorder.status().n_written == 0:
            time.sleep(0.001)
    source.close()
    status = recorder.status()
    assert passed == 10_000
    assert isinstance(status.error, SinkError)
    assert len(told) == 1
    assert "STOPPED: a.svr: the disk must take the events; No space left on device" in told[0]
    assert status.n_given == status.n_written + status.n_dropped
    assert np.array_equal(read(path), events[: status.n_written])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")
def test_a_disk_without_room_is_told_in_the_words_of_the_system(tools: Any) -> None:
    with pytest.raises(SinkError, match="No space left on device"):
        FileWriter(Path("/dev/full"), svr_encoder(tools))


def svr_encoder(tools: Any) -> Any:
    from streamvdib.replay.writers.chunked import Encoder

    return Encoder(tools.size)


def test_what_a_slow_disk_cannot_take_is_counted_and_nobody_waits(
    tools: Any, tmp_path: Path
) -> None:
    writer = open_writer(tmp_path / "a.svr", tools.size)
    assert isinstance(writer, FileWriter)
    disk = SlowOrFullDisk(writer, n_good=10**9)
    recorder = Recorder(tmp_path / "a.svr", tools.size, writer=disk, capacity=1000)
    for packet in tools.cut(tools.some_events(10_000)):
        recorder.push(packet)
    assert recorder.status().n_given == 10_000
    disk.may_write.set()
    recorder.close()
    status = recorder.status()
    assert status.n_dropped > 0
    assert status.n_written + status.n_dropped == 10_000
    assert status.n_waiting == 0


def test_two_recordings_in_one_file_are_refused(tools: Any, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.svr", tools.size)
    with pytest.raises(SinkError, match="one writer"):
        Recorder(tmp_path / "a.svr", tools.size)
    recorder.close()


class Failing:
    """A file on a disk that has room for seven bytes more."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        self._file.write(data[:7])
        raise OSError(28, "No space left on device")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_a_refused_write_leaves_what_was_there(tools: Any, tmp_path: Path) -> None:
    """The file is cut back to its last whole packet."""
    path = tmp_path / "a.svr"
    events = tools.some_events(100)
    writer = FileWriter(path, svr_encoder(tools))
    writer.write(EventPacket(events, int(events["t_us"][-1]) + 1))
    size = path.stat().st_size

    writer._file = Failing(writer._file)  # type: ignore[assignment]
    with pytest.raises(SinkError, match="No space left"):
        writer.write(EventPacket(events, int(events["t_us"][-1]) + 2))
    assert path.stat().st_size == size
    writer.close()
    assert np.array_equal(read(path), events)


@pytest.mark.parametrize("suffix", [".aedat4", ".svr", ".es", ".raw", ".npy", ".csv", ".bin"])
def test_after_a_full_disk_the_file_reads_like_any_other(
    suffix: str, tools: Any, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    events = tools.some_events(300)
    events["t_us"] -= events["t_us"][0]
    writer = open_writer(path, tools.size)
    writer.write(EventPacket(events[:200], int(events["t_us"][200])))
    writer._file = Failing(writer._file)  # type: ignore[attr-defined]
    with pytest.raises(SinkError, match="The 200 events written before are whole"):
        writer.write(EventPacket(events[200:], int(events["t_us"][-1]) + 1))
    writer.close()
    assert np.array_equal(read(path), events[:200])


def test_our_container_is_good_wherever_it_is_cut_off(tools: Any, tmp_path: Path) -> None:
    """At every byte of the last two chunks: whole chunks are read, the rest is counted."""
    events = tools.some_events(30)
    data = svr.header(tools.size)
    chunks = [svr.chunk(EventPacket(part, 0)) for part in np.array_split(events, 10)]
    whole = data + b"".join(chunks)
    path = tmp_path / "cut.svr"
    for n_missing in range(2 * len(chunks[0]) + 1):
        path.write_bytes(whole[: len(whole) - n_missing])
        n_whole = 10 - -(-n_missing // len(chunks[0]))
        source = open_source(path)
        found = sum(len(packet.events) for packet in source)
        assert found == 3 * n_whole
        left = (len(whole) - n_missing - len(data)) % len(chunks[0])
        assert source.counters.get("truncated_bytes", 0) == left


def test_a_damaged_chunk_is_an_error_or_left_out_if_lenient(tools: Any, tmp_path: Path) -> None:
    events = tools.some_events(30)
    head = svr.header(tools.size)
    chunks = [svr.chunk(EventPacket(part, 0)) for part in np.array_split(events, 10)]
    data = bytearray(head + b"".join(chunks))
    data[len(head) + 2 * len(chunks[0]) + svr.CHUNK_HEAD.size] ^= 1
    path = tmp_path / "damaged.svr"
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=f"byte {len(head) + 2 * len(chunks[0])} is damaged"):
        read(path)
    assert len(read(path, lenient=True)) == 27
    path.write_bytes(head + b"garbage that is no chunk at all")
    with pytest.raises(RecordingError, match="chunk must begin here"):
        read(path)
    path.write_bytes(b"SVR1\xff\xff\xff\xff")
    with pytest.raises(RecordingError, match="sensor's size"):
        read(path)
