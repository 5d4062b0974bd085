"""Every format as the tests write it themselves: events, times and polarities come back."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from streamvdib.replay.writers.aedat4 import Encoder

from streamvdib.errors import ConfigurationError, RecordingError
from streamvdib.events import EventPacket, SensorSize, TimedImage, as_events
from streamvdib.sources import open_source, recognise
from tests.sources.recording_contract import check_contract
from tests.sources.written import BY_BYTES, evt3, evt21_words, join, some_events
from tests.sources.written_with_libraries import write_aedat4, write_bag, write_hdf5


@pytest.mark.parametrize("name", BY_BYTES)
def test_what_was_written_is_read(name: str, tmp_path: Path) -> None:
    written = BY_BYTES[name]
    events = some_events(written.size)
    path = tmp_path / "wrong.extension"
    path.write_bytes(written.write(events, written.size))
    assert recognise(path) == written.family
    source = open_source(path)
    assert source.sensor_size == written.size
    np.testing.assert_array_equal(check_contract(source), events)


@pytest.mark.parametrize("name", BY_BYTES)
def test_a_packed_recording_is_read_like_a_plain_one(name: str, tmp_path: Path) -> None:
    written = BY_BYTES[name]
    events = some_events(written.size)
    path = tmp_path / "packed"
    path.write_bytes(gzip.compress(written.write(events, written.size)))
    source = open_source(path)
    assert source.sensor_size == written.size
    np.testing.assert_array_equal(join(source), events)


@pytest.mark.parametrize("name", BY_BYTES)
def test_lenient_changes_nothing_of_a_good_recording(name: str, tmp_path: Path) -> None:
    written = BY_BYTES[name]
    events = some_events(written.size)
    path = tmp_path / "good"
    path.write_bytes(written.write(events, written.size))
    strict, lenient = open_source(path), open_source(path, lenient=True)
    np.testing.assert_array_equal(join(lenient), events)
    join(strict)
    assert lenient.counters == strict.counters


@pytest.mark.parametrize("name", ["ATIS 40-bit", "EVT3", "Event Stream dvs", "text", "NumPy .npz"])
@pytest.mark.parametrize("packet_us", [1, 777, 10**9])
def test_events_do_not_depend_on_the_length_of_packets(
    name: str, packet_us: int, tmp_path: Path
) -> None:
    written = BY_BYTES[name]
    events = some_events(written.size)
    path = tmp_path / "good"
    path.write_bytes(written.write(events, written.size))
    source = open_source(path, packet_us=packet_us)
    np.testing.assert_array_equal(check_contract(source), events)


def test_words_of_a_davis_that_are_no_events_are_skipped_and_counted(tmp_path: Path) -> None:
    written = BY_BYTES["AEDAT 2.0 DAVIS"]
    path = tmp_path / "davis.aedat"
    path.write_bytes(written.write(some_events(written.size), written.size))
    source = open_source(path)
    join(source)
    assert source.counters == {"aps_imu_words": 100, "external_events": 30}


def test_frames_of_aedat_31_come_with_the_events(tmp_path: Path) -> None:
    written = BY_BYTES["AEDAT 3.1"]
    path = tmp_path / "made.aedat"
    path.write_bytes(written.write(some_events(written.size), written.size))
    source = open_source(path)
    images = [image for packet in source for image in packet.images]
    assert [image.pixels.shape for image in images] == [(2, 4)]
    assert source.counters == {"imu_events": 2}


def test_times_of_aedat_31_go_on_where_31_bits_overflow(tmp_path: Path) -> None:
    written = BY_BYTES["AEDAT 3.1"]
    data = bytearray(written.write(some_events(written.size, n_events=64), written.size))
    at = data.index(b"#!END-HEADER\r\n") + 14
    data[at + 12 : at + 16] = (2).to_bytes(4, "little")
    path = tmp_path / "made.aedat"
    path.write_bytes(data)
    assert join(open_source(path))["t_us"][0] - some_events(written.size, 64)["t_us"][0] == 2 << 31


def test_aedat4_comes_back_with_its_frames(tmp_path: Path) -> None:
    size = SensorSize(346, 260)
    events = some_events(size)
    path = tmp_path / "made.bin"
    write_aedat4(tmp_path / "made.aedat4", events, size)
    (tmp_path / "made.aedat4").rename(path)
    source = open_source(path)
    assert source.sensor_size == size
    np.testing.assert_array_equal(check_contract(source), events)
    images = [image for packet in source for image in packet.images]
    assert [image.t_us for image in images] == [events[0]["t_us"], events[-1]["t_us"]]
    assert [int(image.pixels[0, 0]) for image in images] == [10, 200]
    assert all(image.pixels.flags.writeable for image in images)


@pytest.mark.parametrize("n_frames", [0, 3])
def test_aedat4_packets_longer_than_a_chunk_come_back_with_frames_between_them(
    n_frames: int, tmp_path: Path
) -> None:
    """A chunk is 64 kB; packets here are of 480 kB, and of as much noise as pixels."""
    size = SensorSize(640, 480)
    events = some_events(size, n_events=90_000)
    random = np.random.default_rng(1)
    images = [
        TimedImage(int(events[index]["t_us"]), random.integers(0, 256, (480, 640), np.uint8))
        for index in range(1_000, 1_000 + 200 * n_frames, 200)
    ]
    encoder = Encoder(size)
    path = tmp_path / "made.aedat4"
    pieces = np.array_split(events, 3)
    content = [encoder.header(), *(encoder.encode(EventPacket(piece, 0)) for piece in pieces)]
    content[1:1] = [encoder.encode(EventPacket(events[:0], 0, (image,))) for image in images]
    path.write_bytes(b"".join(content))
    source = open_source(path)
    np.testing.assert_array_equal(check_contract(source), events)
    read = [image for packet in source for image in packet.images]
    assert [image.t_us for image in read] == [image.t_us for image in images]
    for one, other in zip(read, images, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_frames_after_the_last_event_of_aedat4_are_delivered_one_by_one(tmp_path: Path) -> None:
    """By hand: packets of 10 ms, an event at 1 ms, frames at 2, 35 and 36 ms."""
    size = SensorSize(8, 4)
    events = as_events([1_000], [3], [2], [True])
    frames = tuple(TimedImage(t_us, np.zeros((4, 8), np.uint8)) for t_us in (2_000, 35_000, 36_000))
    encoder = Encoder(size)
    path = tmp_path / "made.aedat4"
    path.write_bytes(encoder.header() + encoder.encode(EventPacket(events, 0, frames)))
    delivered = [
        (packet.end_us, len(packet.events), [image.t_us for image in packet.images])
        for packet in open_source(path)
    ]
    assert delivered == [(10_000, 1, [2_000]), (36_001, 0, [35_000, 36_000])]


@pytest.mark.parametrize("compression", ["NONE", "LZ4_HIGH", "ZSTD", "ZSTD_HIGH"])
def test_aedat4_comes_back_however_it_is_packed(compression: str, tmp_path: Path) -> None:
    size = SensorSize(346, 260)
    events = some_events(size)
    path = tmp_path / "made.aedat4"
    write_aedat4(path, events, size, compression=compression)
    source = open_source(path)
    np.testing.assert_array_equal(join(source), events)
    assert sum(len(packet.images) for packet in source) == 2


@pytest.mark.parametrize("offset_us", [0, 5_000_000_000])
def test_dsec_hdf5_comes_back_with_its_offset(offset_us: int, tmp_path: Path) -> None:
    events = some_events(SensorSize(640, 480))
    events["t_us"] += offset_us
    path = tmp_path / "made.txt"
    write_hdf5(path, events, offset_us)
    source = open_source(path)
    assert source.sensor_size == SensorSize(640, 480)
    np.testing.assert_array_equal(check_contract(source), events)


@pytest.mark.parametrize("n_chunk", [1_000, 70_000, 300_000])
def test_hdf5_in_packed_chunks_comes_back(n_chunk: int, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    events = some_events(SensorSize(640, 480), n_events=300_000)
    path = tmp_path / "made.h5"
    with h5py.File(path, "w") as file:
        for name, field in (("t", "t_us"), ("x", "x"), ("y", "y"), ("p", "on")):
            file.create_dataset(
                f"CD/events/{name}", data=events[field], chunks=(n_chunk,), compression="gzip"
            )
    np.testing.assert_array_equal(check_contract(open_source(path)), events)


def test_hdf5_of_four_columns_comes_back(tmp_path: Path) -> None:
    """MVSEC: x y t p, seconds since 1970, -1 is OFF."""
    h5py = pytest.importorskip("h5py")
    events = some_events(SensorSize(346, 260))
    columns = [events["x"], events["y"], 1.5e9 + events["t_us"] / 1e6, events["on"] * 2.0 - 1]
    with h5py.File(tmp_path / "made", "w") as file:
        file["davis/left/events"] = np.stack(columns, axis=1)
    read = join(open_source(tmp_path / "made"))
    events["t_us"] += 1_500_000_000_000_000
    np.testing.assert_array_equal(read, events)


def test_hdf5_with_two_cameras_asks_which(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "made", "w") as file:
        for side in ("left", "right"):
            file[f"{side}/events"] = np.zeros((3, 4))
    with pytest.raises(ConfigurationError, match="left/events, right/events"):
        open_source(tmp_path / "made")
    assert len(join(open_source(tmp_path / "made", group="right/events"))) == 3


@pytest.mark.parametrize("ros", [1, 2])
def test_event_arrays_in_a_bag_come_back(ros: int, tmp_path: Path) -> None:
    size = SensorSize(240, 180)
    events = some_events(size, n_events=333)
    events["t_us"] += 1_600_000_000_000_000
    path = tmp_path / "made.bag"
    write_bag(path, events, size, ros=ros)
    source = open_source(path)
    assert source.sensor_size == size
    np.testing.assert_array_equal(check_contract(source), events)


@pytest.mark.parametrize("ros", [1, 2])
@pytest.mark.parametrize("encoding", ["evt3", "evt21"])
def test_event_packets_in_a_bag_come_back(ros: int, encoding: str, tmp_path: Path) -> None:
    size = SensorSize(640, 480)
    events = some_events(size)
    payload = evt21_words(events).tobytes()
    if encoding == "evt3":
        payload = evt3(events, size).partition(b"% end\n")[2]
    path = tmp_path / "made.bag"
    write_bag(path, events, size, ros=ros, encoding=encoding, payload=payload)
    source = open_source(path)
    assert source.sensor_size == size
    np.testing.assert_array_equal(check_contract(source), events)


def test_mono_event_packets_count_nanoseconds_from_their_base(tmp_path: Path) -> None:
    """By hand: base 5 ms + 1999 ns is 5001 us (whole microseconds), x 3, y 2, ON."""
    word = 1 << 63 | 2 << 48 | 3 << 32 | 1999
    path = tmp_path / "made.bag"
    size = SensorSize(34, 34)
    payload = word.to_bytes(8, "little")
    write_bag(path, some_events(size), size, ros=1, encoding="mono", payload=payload)
    assert join(open_source(path)).tolist() == [(5001, 3, 2, True)]


def test_a_single_mcap_file_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    size = SensorSize(240, 180)
    events = some_events(size)
    write_bag(tmp_path / "bag", events, size, ros=2)
    (file,) = (tmp_path / "bag").glob("*.mcap")
    file.rename(tmp_path / "renamed.raw")
    np.testing.assert_array_equal(join(open_source(tmp_path / "renamed.raw")), events)


def test_an_evt21_word_is_the_events_of_its_mask(tmp_path: Path) -> None:
    """By hand: TIME_HIGH 3, then ON at t low 5, x from 64, y 9, mask 0b101: t = 3 * 64 + 5."""
    words = [0x8 << 60 | 3 << 32, 0x1 << 60 | 5 << 54 | 64 << 43 | 9 << 32 | 0b101]
    path = tmp_path / "made.raw"
    path.write_bytes(b"% evt 2.1\n% geometry 320x320\n" + np.array(words, "<u8").tobytes())
    assert join(open_source(path)).tolist() == [(197, 64, 9, True), (197, 66, 9, True)]


def test_an_evt3_vector_moves_its_base(tmp_path: Path) -> None:
    """By hand: base 100 OFF, 12 pixels, then 8; bits 0 and 11 of the first, bit 7 of the second."""
    words = [0x8001, 0x6002, 0x0007, 0x3000 | 100, 0x4801, 0x5080]
    path = tmp_path / "made.raw"
    path.write_bytes(b"% evt 3.0\n% geometry 640x480\n" + np.array(words, "<u2").tobytes())
    expected = [(4098, x, 7, False) for x in (100, 111, 119)]
    assert join(open_source(path)).tolist() == expected


def test_an_event_stream_byte_by_hand(tmp_path: Path) -> None:
    """By hand: overflow, then 3 us and ON at column 258, row 1 from below of 240."""
    path = tmp_path / "made.es"
    header = b"Event Stream\x02\x00\x00\x01\x40\x01\xf0\x00"
    path.write_bytes(header + bytes([0xFF, 3 << 1 | 1, 2, 1, 1, 0]))
    assert join(open_source(path)).tolist() == [(130, 258, 238, True)]


def test_an_n_mnist_event_by_hand(tmp_path: Path) -> None:
    """x 5, y 6, ON, t = 0x01_02_03 = 66,051; a mark of overflow adds 8,192 to what follows."""
    mark, event = bytes([0, 240, 1, 2, 3]), bytes([5, 6, 0x81, 2, 3])
    path = tmp_path / "made.bin"
    path.write_bytes(event + mark + event)
    source = open_source(path)
    assert join(source).tolist() == [(66_051, 5, 6, True), (74_243, 5, 6, True)]
    assert source.counters == {"overflow_marks": 1}


def test_a_dvs128_word_by_hand(tmp_path: Path) -> None:
    """Address 0x0A04: y 10, x 127 - 2, bit 0 is 0: ON."""
    path = tmp_path / "made.aedat"
    path.write_bytes(b"#!AER-DAT2.0\r\n" + bytes.fromhex("00000a04 00000007"))
    assert join(open_source(path)).tolist() == [(7, 125, 10, True)]


def test_an_empty_folder_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="a folder that is no bag"):
        open_source(tmp_path)
