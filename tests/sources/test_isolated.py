"""Readers in a child process: hangs, crashes, memory, and damaged files of other libraries."""

import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest

from streamvdib.errors import EventRangeError, RecordingError, StreamVdibError, UnknownFormatError
from streamvdib.events import SensorSize
from streamvdib.sources import open_source
from streamvdib.sources.isolated import isolated
from tests.sources.written import BY_BYTES, join, some_events
from tests.sources.written_with_libraries import write_aedat4, write_bag, write_hdf5

MORE_THAN_A_PIPE = 20_000  # events: the child must still be at work when something befalls it


def write(path: Path, name: str = "ATIS 40-bit", n_events: int = 300) -> Path:
    written = BY_BYTES[name]
    path.write_bytes(written.write(some_events(written.size, n_events), written.size))
    return path


def test_events_and_counters_come_back_through_the_pipe(tmp_path: Path) -> None:
    path = write(tmp_path / "made", "EVT2")
    source, plain = open_source(path, isolated=True), open_source(path)
    assert source.sensor_size == plain.sensor_size
    np.testing.assert_array_equal(join(source), join(plain))
    assert source.counters == plain.counters == {"triggers": 1}
    np.testing.assert_array_equal(join(source), join(plain))  # a second child
    source.close()
    source.close()


def test_frames_come_back_through_the_pipe(tmp_path: Path) -> None:
    path = tmp_path / "made.aedat4"
    write_aedat4(path, some_events(SensorSize(346, 260)), SensorSize(346, 260))
    images = [image for packet in open_source(path, isolated=True) for image in packet.images]
    assert [image.pixels.shape for image in images] == [(260, 346)] * 2
    assert [int(image.pixels[5, 5]) for image in images] == [10, 200]


def test_errors_come_back_as_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "made"
    path.write_bytes(b"nothing")
    with pytest.raises(UnknownFormatError):
        open_source(path, isolated=True)
    with pytest.raises(EventRangeError, match="byte"):
        join(open_source(write(path), isolated=True, sensor_size=SensorSize(5, 5)))


def test_a_reader_that_hangs_is_ended_after_its_deadline(tmp_path: Path) -> None:
    """A named pipe that nobody writes to: opening it waits for ever."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(RecordingError, match=r"within 1 s; it did not and was ended"):
        isolated(path, deadline_s=1.0)


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV, signal.SIGKILL])
def test_a_reader_that_panics_is_named_with_its_signal(
    number: signal.Signals, tmp_path: Path
) -> None:
    """What a library's panic, a wild pointer and the system's own memory killer look like."""
    source = isolated(write(tmp_path / "made", n_events=MORE_THAN_A_PIPE), packet_us=1)
    packets = iter(source)
    next(packets)
    os.kill(source._children[0]._process.pid, number)
    with pytest.raises(RecordingError, match=rf"made, after t=.*crashed \({number.name}\)"):
        list(packets)
    assert source._children == []


def test_a_reader_that_hangs_between_two_packets_is_ended(tmp_path: Path) -> None:
    source = isolated(
        write(tmp_path / "made", n_events=MORE_THAN_A_PIPE), packet_us=1, deadline_s=30.0
    )
    packets = iter(source)
    next(packets)
    child = source._children[0]
    child.deadline_s = 0.5
    os.kill(child._process.pid, signal.SIGSTOP)
    with pytest.raises(RecordingError, match=r"made, after t=.* within 0.5 s"):
        list(packets)
    assert child._process.poll() == -signal.SIGKILL


def test_a_reader_that_takes_too_much_memory_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="memory"):
        join(isolated(write(tmp_path / "made"), memory_bytes=150 << 20))


def test_closing_ends_the_child(tmp_path: Path) -> None:
    source = isolated(write(tmp_path / "made"), packet_us=1)
    packets = iter(source)
    next(packets)
    source.close()
    assert list(packets) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["aedat4", "hdf5", "ros1", "ros2"])
def test_damaged_files_of_other_libraries_never_harm_the_parent(kind: str, tmp_path: Path) -> None:
    """Good events or one error of ours, whatever the library does."""
    events, size = some_events(SensorSize(240, 180)), SensorSize(240, 180)
    path = tmp_path / ("made.aedat4" if kind == "aedat4" else "made")
    if kind == "aedat4":
        write_aedat4(path, events, size)
    elif kind == "hdf5":
        write_hdf5(path, events)
    else:
        write_bag(path, events, size, ros=1 if kind == "ros1" else 2)
    if path.is_dir():
        (path,) = path.glob("*.mcap")
    content = path.read_bytes()
    rng = random.Random(0)
    for _ in range(12):
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 20)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        read, message = None, ""
        try:
            read = join(isolated(path, deadline_s=20.0))
        except StreamVdibError as error:
            message = str(error)
        assert read is not None or str(path) in message
        assert read is None or (np.diff(read["t_us"]) >= 0).all()
