"""Bad recordings: one clear error each that names the file, the place and what to do."""

import contextlib
import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamvdib.errors import (
    EventOrderError,
    EventRangeError,
    RecordingError,
    StreamVdibError,
    TruncatedRecordingError,
    UnknownFormatError,
)
from streamvdib.events import EventArray, SensorSize
from streamvdib.sources import open_source
from streamvdib.sources.aedat4_container import read_container
from tests.sources.written import BY_BYTES, Written, atis40, join, some_events
from tests.sources.written_with_libraries import write_aedat4, write_bag, write_hdf5

WITHOUT_WRAP = {
    name: written
    for name, written in BY_BYTES.items()
    if name not in ("Event Stream dvs", "Event Stream atis")
}
"""Formats in which time can run back: Event Stream has only steps forward."""


HARMLESS_GARBAGE: set[str] = set()
"""Formats in which random bytes are a good recording."""


def save(path: Path, written: Written, events: EventArray) -> Path:
    path.write_bytes(written.write(events, written.size))
    return path


def attempt(path: Path, **options: object) -> tuple[list[Any] | None, StreamVdibError | None]:
    """The events of a recording, or the error instead of them."""
    try:
        return join(open_source(path, **options)).tolist(), None
    except StreamVdibError as error:
        return None, error


def is_clear(error: StreamVdibError, path: Path) -> bool:
    """Names the file, the place and something to do."""
    text = str(error)
    place = re.search(r"byte \d+|event \d+|line \d+|message \d+", text)
    remedy = re.search(r"lenient|Record|Convert|Give|Name|Save|Sort|convert|Mend", text)
    return str(path) in text and place is not None and remedy is not None


@pytest.mark.parametrize("name", BY_BYTES)
def test_a_recording_cut_off_anywhere_in_its_last_64_bytes_gives_good_events_or_one_clear_error(
    name: str, tmp_path: Path
) -> None:
    written = BY_BYTES[name]
    events = some_events(written.size, n_events=120)
    data = written.write(events, written.size)
    path = tmp_path / "cut"
    whole = events.tolist()
    for n_bytes in range(len(data) - 64, len(data)):
        path.write_bytes(data[:n_bytes])
        read, error = attempt(path)
        assert error is None or is_clear(error, path), error
        assert read is None or read == whole[: len(read)], n_bytes
        read, error = attempt(path, lenient=True)
        assert error is None or name == "NumPy .npz", error
        assert read is None or read == whole[: len(read)], n_bytes


@pytest.mark.parametrize("name", ["ATIS 40-bit", "EVT3", "AEDAT 2.0 DVS128", "DAT"])
def test_what_is_left_of_a_cut_event_is_counted_when_lenient(name: str, tmp_path: Path) -> None:
    written = BY_BYTES[name]
    path = save(tmp_path / "cut", written, some_events(written.size))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TruncatedRecordingError, match="byte"):
        join(open_source(path))
    lenient = open_source(path, lenient=True)
    assert len(join(lenient)) in (299, 300)
    assert lenient.counters["truncated_bytes"] >= 1


@pytest.mark.parametrize("name", ["ATIS 40-bit", "EVT3", "text", "NumPy .npy", "AEDAT 3.1"])
def test_a_packed_recording_cut_off_is_one_clear_error(name: str, tmp_path: Path) -> None:
    written = BY_BYTES[name]
    data = gzip.compress(written.write(some_events(written.size), written.size))
    path = tmp_path / "cut.gz"
    for n_bytes in range(len(data) - 64, len(data), 3):
        path.write_bytes(data[:n_bytes])
        with pytest.raises(RecordingError) as raised:
            join(open_source(path))
        assert is_clear(raised.value, path), raised.value
        with gzip.open(path) as packed, contextlib.suppress(EOFError):
            n_unpacked = 0
            while packed.read(1):
                n_unpacked += 1
        assert f"damaged after byte {n_unpacked} " in str(raised.value)
        assert len(join(open_source(path, lenient=True))) <= 300


def test_an_aedat4_file_cut_off_is_one_clear_error_and_its_whole_packets_are_read_when_lenient(
    tmp_path: Path,
) -> None:
    events = some_events(SensorSize(346, 260))
    whole = tmp_path / "whole.aedat4"
    write_aedat4(whole, events, SensorSize(346, 260), frames=False)
    data = whole.read_bytes()
    path = tmp_path / "cut.aedat4"
    container = read_container(whole, "whole")
    for n_bytes in range(len(data) - 64, len(data), 2):  # the table, which is not needed
        path.write_bytes(data[:n_bytes])
        assert attempt(path)[0] == events.tolist()
    for n_bytes in range(container.table_at - 64, container.table_at):
        path.write_bytes(data[:n_bytes])
        read, error = attempt(path)
        assert isinstance(error, TruncatedRecordingError)
        assert is_clear(error, path), error
    path.write_bytes(data[: len(data) * 2 // 3])
    lenient = open_source(path, lenient=True)
    read = join(lenient)
    assert 0 < len(read) < len(events)
    np.testing.assert_array_equal(read, events[: len(read)])
    assert lenient.counters["truncated_bytes"] > 0


def test_a_damaged_packet_of_aedat4_is_one_clear_error_or_left_out_and_counted(
    tmp_path: Path,
) -> None:
    events = some_events(SensorSize(346, 260))
    path = tmp_path / "made.aedat4"
    write_aedat4(path, events, SensorSize(346, 260), frames=False)
    data = bytearray(path.read_bytes())
    first = read_container(path, "made").first_packet
    data[first + 8] ^= 0xFF  # the magic number of LZ4
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=f"byte {first}: a packet must be whole"):
        join(open_source(path))
    lenient = open_source(path, lenient=True)
    np.testing.assert_array_equal(join(lenient), events[100:])
    assert lenient.counters == {"damaged_packets": 1}


@pytest.mark.parametrize("kind", ["hdf5", "ros1", "ros2"])
def test_other_libraries_files_cut_off_are_one_clear_error(kind: str, tmp_path: Path) -> None:
    events = some_events(SensorSize(240, 180))
    path = tmp_path / "whole"
    if kind == "hdf5":
        write_hdf5(path, events)
    else:
        write_bag(path, events, SensorSize(240, 180), ros=1 if kind == "ros1" else 2)
    if path.is_dir():
        (path,) = path.glob("*.mcap")
    data = path.read_bytes()
    cut = tmp_path / "cut"
    for n_bytes in (len(data) // 2, *range(len(data) - 64, len(data))):
        cut.write_bytes(data[:n_bytes])
        read, error = attempt(cut)
        assert error is None or is_clear(error, cut), error
        assert read is None or read == events.tolist()


@pytest.mark.parametrize("name", BY_BYTES)
def test_events_off_the_sensor_are_one_clear_error_or_dropped_and_counted(
    name: str, tmp_path: Path
) -> None:
    written = BY_BYTES[name]
    path = save(tmp_path / "made", written, some_events(written.size))
    small = SensorSize(written.size.width, written.size.height - 1)
    if name == "AEDAT 2.0 DAVIS":  # its rows count from below
        small = SensorSize(written.size.width - 1, written.size.height)
    with pytest.raises(EventRangeError) as raised:
        join(open_source(path, sensor_size=small))
    assert is_clear(raised.value, path)
    assert "--sensor-size" in str(raised.value)
    lenient = open_source(path, sensor_size=small, lenient=True)
    n_events = len(join(lenient))
    assert n_events + lenient.counters["off_sensor"] == 300
    assert lenient.counters["off_sensor"] >= 2


@pytest.mark.parametrize("name", WITHOUT_WRAP)
def test_time_that_runs_back_is_one_clear_error_or_sorted_and_counted(
    name: str, tmp_path: Path
) -> None:
    written = BY_BYTES[name]
    events = some_events(written.size)
    disordered = events.copy()
    disordered[[150, 200]] = events[[200, 150]]
    path = save(tmp_path / "made", written, disordered)
    with pytest.raises(EventOrderError) as raised:
        join(open_source(path))
    assert is_clear(raised.value, path)
    lenient = open_source(path, lenient=True)
    read = join(lenient)
    assert (np.diff(read["t_us"]) >= 0).all()
    assert len(read) + lenient.counters.get("late", 0) == 300
    assert lenient.counters["reordered"] >= 1


@pytest.mark.parametrize("name", ["EVT2", "DAT", "text", "NumPy .npy", "AEDAT 2.0 DVS128"])
def test_a_jump_of_hours_is_one_clear_error_or_closed_and_counted(
    name: str, tmp_path: Path
) -> None:
    """1.5 hours would wrap a counter of 32 bits only after 71 minutes: here it is 70."""
    written = BY_BYTES[name]
    events = some_events(written.size)
    events["t_us"][100:] += 70 * 60 * 10**6
    path = save(tmp_path / "made", written, events)
    with pytest.raises(EventOrderError, match="max_gap_us") as raised:
        join(open_source(path))
    assert is_clear(raised.value, path)
    allowed = join(open_source(path, max_gap_us=10**10))
    np.testing.assert_array_equal(allowed, events)
    lenient = open_source(path, lenient=True)
    read = join(lenient)
    assert lenient.counters["time_jumps"] == 1
    assert read["t_us"][100] == events["t_us"][99]
    np.testing.assert_array_equal(np.diff(read["t_us"][100:]), np.diff(events["t_us"][100:]))


@pytest.mark.parametrize("name", ["AEDAT 1.0", "AEDAT 2.0 DVS128", "DAT", "text", "NumPy .npy"])
def test_a_clock_that_starts_again_is_one_clear_error_or_bridged_and_counted(
    name: str, tmp_path: Path
) -> None:
    written = BY_BYTES[name]
    events = some_events(written.size)
    events["t_us"][:150] += 30 * 10**6
    path = save(tmp_path / "made", written, events)
    with pytest.raises(EventOrderError):
        join(open_source(path))
    lenient = open_source(path, lenient=True)
    read = join(lenient)
    assert lenient.counters == {"clock_resets": 1}
    assert len(read) == 300
    assert read["t_us"][150] == events["t_us"][149]


@pytest.mark.parametrize("name", ["AEDAT 1.0", "AEDAT 2.0 DVS128", "DAT"])
@pytest.mark.parametrize("bits", [31, 32])
def test_a_wrapped_counter_of_32_bits_goes_on(name: str, bits: int, tmp_path: Path) -> None:
    written = BY_BYTES[name]
    events = some_events(written.size)
    events["t_us"] += (1 << bits) - 30_000
    wrapped = events.copy()
    wrapped["t_us"] %= 1 << bits
    path = save(tmp_path / "made", written, wrapped)
    source = open_source(path)
    np.testing.assert_array_equal(join(source), events)
    assert source.counters == {"wraps": 1}


@pytest.mark.parametrize(("name", "bits"), [("EVT2", 34), ("EVT2.1", 34), ("EVT3", 24)])
def test_a_wrapped_prophesee_counter_goes_on(name: str, bits: int, tmp_path: Path) -> None:
    """The writers write t modulo the range, as the sensors do."""
    written = BY_BYTES[name]
    events = some_events(written.size)
    events["t_us"] += (1 << bits) - 30_000
    path = save(tmp_path / "made", written, events)
    source = open_source(path)
    np.testing.assert_array_equal(join(source), events)
    assert source.counters["wraps"] == 1


@pytest.mark.parametrize("name", BY_BYTES)
def test_garbage_after_the_header_is_no_crash(name: str, tmp_path: Path) -> None:
    written = BY_BYTES[name]
    data = written.write(some_events(written.size), written.size)
    header = data[: len(data) - len(data) // 2] if written.family == "numpy" else data[:20]
    for marker in (
        b"END-HEADER\r\n",
        b"% end\n",
        b"edit\r\n",
        b"blue\r\n",
        b"\x0c\x08",
        b"\x00\x08",
    ):
        if marker in data[:200]:
            header = data[: data.index(marker) + len(marker)]
    path = tmp_path / "garbage"
    path.write_bytes(header + np.random.default_rng(3).bytes(20_000))
    for lenient in (False, True):
        read, error = attempt(path, lenient=lenient)
        assert error is None or str(path) in str(error)
        assert error is not None or lenient or name in HARMLESS_GARBAGE or not read


@pytest.mark.parametrize("content", [b"", gzip.compress(b"")])
def test_an_empty_file_is_one_clear_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "empty.aedat4"
    path.write_bytes(content)
    with pytest.raises(UnknownFormatError, match=r"empty\.aedat4.*is empty"):
        open_source(path)


def test_an_absent_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="absent"):
        open_source(tmp_path / "absent.raw")


@pytest.mark.parametrize(
    "content", [b"\x00" * 4096, b"hello, world\n", b"\xff\xd8\xff\xe0JFIF" * 99]
)
def test_what_is_no_recording_is_one_clear_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.aedat"
    path.write_bytes(content)
    with pytest.raises(UnknownFormatError, match="in none"):
        open_source(path)


def test_a_format_that_is_named_is_not_guessed(tmp_path: Path) -> None:
    """A file of one disordered event in three is no 40-bit file by content."""
    events = some_events(SensorSize(34, 34), n_events=30)
    path = tmp_path / "named"
    path.write_bytes(atis40(events[::-1], SensorSize(34, 34)))
    with pytest.raises(UnknownFormatError):
        open_source(path)
    with pytest.raises(EventOrderError):
        join(open_source(path, format="atis40"))
    assert len(join(open_source(path, format="atis40", lenient=True))) == 30


def test_more_events_at_one_time_than_memory_may_hold_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamvdib.sources.packets.SMALL_EVENTS", 100)
    monkeypatch.setattr("streamvdib.sources.packets.MAX_EVENTS_AT_ONE_TIME", 200)
    written = BY_BYTES["ATIS 40-bit"]
    events = some_events(written.size)
    path = save(tmp_path / "made", written, events)
    packets = list(open_source(path, packet_us=10**9))
    assert len(packets) > 1
    np.testing.assert_array_equal(np.concatenate([p.events for p in packets]), events)
    events["t_us"] = 5
    save(path, written, events)
    with pytest.raises(RecordingError, match="share one time"):
        join(open_source(path, format="atis40"))
