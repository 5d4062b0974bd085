"""Variants of the formats that the shared recordings do not show, each made by hand."""

import struct
from pathlib import Path

import numpy as np
import pytest

from streamvdib.errors import RecordingError
from streamvdib.events import SensorSize
from streamvdib.sources import open_source
from tests.sources.written import BY_BYTES, aedat2_davis, evt2, evt3, join, some_events

DAVIS240 = SensorSize(240, 180)


@pytest.mark.parametrize("line", ["% Version 1\n", "% Data file containing TD events.\n"])
def test_dat_before_version_2_has_narrower_fields(line: str, tmp_path: Path) -> None:
    """By hand: x 300 in 9 bits, y 200 in 8, ON in bit 17."""
    path = tmp_path / "old.dat"
    words = struct.pack("<IIII", 7, 300 | 200 << 9 | 1 << 17, 9, 5 | 6 << 9)
    path.write_bytes(line.encode() + b"\x00\x08" + words)
    source = open_source(path)
    assert join(source).tolist() == [(7, 300, 200, True), (9, 5, 6, False)]
    assert source.sensor_size == SensorSize(304, 240)


@pytest.mark.parametrize("write", [evt2, evt3])
def test_raw_whose_header_names_neither_encoding_nor_size_is_read(write, tmp_path: Path) -> None:
    events = some_events(SensorSize(640, 480))
    words = write(events, SensorSize(640, 480)).partition(b"% end\n")[2]
    path = tmp_path / "made.raw"
    path.write_bytes(b"% Date 2019-01-01 00:00:00\n% system_ID 99\n% serial_number 1\n" + words)
    source = open_source(path)
    assert source.sensor_size == SensorSize(640, 480)
    np.testing.assert_array_equal(join(source), events)


@pytest.mark.parametrize("chip", ["eu.seebetter.ini.chips.sbret10.SBret10", "Davis240C"])
def test_names_of_the_davis240_are_known(chip: str, tmp_path: Path) -> None:
    events = some_events(DAVIS240)
    data = aedat2_davis(events, DAVIS240)
    path = tmp_path / "made.aedat"
    path.write_bytes(data.replace(b"eu.seebetter.ini.chips.davis.Davis346blue", chip.encode()))
    source = open_source(path)
    assert source.sensor_size == DAVIS240
    np.testing.assert_array_equal(join(source), events)


@pytest.mark.parametrize("order", ["t x y p", "x y t p", "x y p t"])
@pytest.mark.parametrize("kind", ["int64", "float64", "seconds"])
def test_an_array_of_four_columns_tells_its_order_and_its_unit(
    order: str, kind: str, tmp_path: Path
) -> None:
    events = some_events(DAVIS240)
    columns = {"t": events["t_us"], "x": events["x"], "y": events["y"], "p": events["on"]}
    if kind == "seconds":
        columns["t"] = events["t_us"] / 1e6
    dtype = "float64" if kind == "seconds" else kind
    rows = np.stack([columns[name].astype(dtype) for name in order.split()], axis=1)
    path = tmp_path / "made.npy"
    np.save(path, rows)
    np.testing.assert_array_equal(join(open_source(path)), events)


def test_four_columns_of_hdf5_tell_their_order(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    events = some_events(DAVIS240)
    path = tmp_path / "made.h5"
    with h5py.File(path, "w") as file:
        columns = [events["t_us"], events["x"], events["y"], events["on"]]
        file["event_data"] = np.stack([column.astype(np.float64) for column in columns], axis=1)
    np.testing.assert_array_equal(join(open_source(path)), events)


def test_integers_of_nanoseconds_since_1970_become_microseconds(tmp_path: Path) -> None:
    events = some_events(DAVIS240)
    events["t_us"] += 1_600_000_000_000_000
    path = tmp_path / "made.npz"
    np.savez(path, t=events["t_us"] * 1000, x=events["x"], y=events["y"], p=events["on"])
    np.testing.assert_array_equal(join(open_source(path)), events)


@pytest.mark.parametrize(
    "start",
    [
        b"\xef\xbb\xbf",
        b"timestamp (us),x,y,polarity\n",
        b'"t","x","y","p"\n',
        b"\xef\xbb\xbft;x;y;p\r\n",
        b"# t x y p\n",
    ],
)
def test_marks_quotes_and_units_do_not_hide_a_header(start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "made.txt"
    path.write_bytes(start + b"5,1,2,1\n6,3,4,0\n")
    assert join(open_source(path)).tolist() == [(5, 1, 2, True), (6, 3, 4, False)]


def test_a_compressed_packet_of_aedat_31_is_one_clear_error(tmp_path: Path) -> None:
    written = BY_BYTES["AEDAT 3.1"]
    data = bytearray(written.write(some_events(written.size), written.size))
    data[data.index(b"#!END-HEADER\r\n") + 15] |= 0x80
    path = tmp_path / "made.aedat"
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=r"byte \d+: packets must be stored as they are"):
        join(open_source(path))


@pytest.mark.parametrize("kind", ["8i8", "(2,)i8"])
def test_a_field_of_several_numbers_is_one_clear_error(kind: str, tmp_path: Path) -> None:
    """Found by fuzzing: one flipped bit turns <i8 into 8i8."""
    path = tmp_path / "made.npy"
    np.save(path, np.zeros(9, [("t", kind), ("x", "<u2"), ("y", "<u2"), ("p", "?")]))
    with pytest.raises(RecordingError, match="one number per event"):
        join(open_source(path))
