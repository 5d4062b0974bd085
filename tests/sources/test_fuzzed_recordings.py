"""Damaged recordings for every own parser: good events or one error of ours, never a crash."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamvdib.errors import StreamVdibError
from streamvdib.events import EventArray, SensorSize
from streamvdib.sources import FORMATS, open_source
from tests.sources.written import BY_BYTES, join, some_events
from tests.sources.written_with_libraries import write_aedat4

FUZZED = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
LARGEST = 1 << 16  # events that a file of this size could hold at most, with vectors


def read_or_refuse(path: Path, **options: object) -> EventArray | None:
    """The events, which keep the contract, or None where an error of ours was raised."""
    refused = ""
    try:
        source = open_source(path, **options)
        events = join(source)
    except StreamVdibError as error:
        refused = str(error)
    if refused:
        assert str(path) in refused or "columns" in refused
        return None
    assert (np.diff(events["t_us"]) >= 0).all()
    assert (events["x"] < source.sensor_size.width).all()
    assert (events["y"] < source.sensor_size.height).all()
    assert len(events) < LARGEST
    assert all(n > 0 for n in source.counters.values())
    return events


def flip_bits(content: bytearray, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 8))):
        bit = data.draw(st.integers(0, 8 * len(content) - 1))
        content[bit // 8] ^= 1 << bit % 8


@pytest.mark.parametrize("name", BY_BYTES)
@FUZZED
@given(data=st.data())
def test_flipped_bits_give_good_events_or_one_error(
    name: str, data: st.DataObject, tmp_path: Path
) -> None:
    written = BY_BYTES[name]
    content = bytearray(written.write(some_events(written.size, n_events=40), written.size))
    flip_bits(content, data)
    path = tmp_path / "fuzzed"
    path.write_bytes(content)
    read_or_refuse(path)
    read_or_refuse(path, lenient=True)


@pytest.mark.parametrize("compression", ["NONE", "LZ4"])
@FUZZED
@given(data=st.data())
def test_flipped_bits_of_aedat4_give_good_events_or_one_error(
    compression: str, data: st.DataObject, tmp_path: Path
) -> None:
    size = SensorSize(346, 260)
    path = tmp_path / "made.aedat4"
    if not path.exists():
        write_aedat4(path, some_events(size, n_events=40), size, False, compression)
    content = bytearray(path.read_bytes())
    flip_bits(content, data)
    fuzzed = tmp_path / "fuzzed"
    fuzzed.write_bytes(content)
    read_or_refuse(fuzzed)
    read_or_refuse(fuzzed, lenient=True)


@pytest.mark.parametrize("name", BY_BYTES)
@FUZZED
@given(data=st.data())
def test_pieces_cut_out_or_put_in_give_good_events_or_one_error(
    name: str, data: st.DataObject, tmp_path: Path
) -> None:
    written = BY_BYTES[name]
    content = written.write(some_events(written.size, n_events=40), written.size)
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 64)))
    path = tmp_path / "fuzzed"
    path.write_bytes(content[:start] + data.draw(st.binary(max_size=64)) + content[end:])
    read_or_refuse(path)
    read_or_refuse(path, lenient=True)


@pytest.mark.parametrize("family", [*FORMATS, None])
@FUZZED
@given(content=st.binary(min_size=1, max_size=2000))
def test_random_bytes_give_events_or_one_error(
    family: str | None, content: bytes, tmp_path: Path
) -> None:
    if family in ("rosbag", "hdf5"):
        pytest.skip("read by a library: see test_isolated.py")
    path = tmp_path / "fuzzed"
    path.write_bytes(content)
    read_or_refuse(path, format=family)
    read_or_refuse(path, format=family, lenient=True)


@pytest.mark.parametrize("name", [name for name in BY_BYTES if not name.startswith("NumPy")])
@FUZZED
@given(content=st.binary(max_size=2000))
def test_random_bytes_after_a_header_give_events_or_one_error(
    name: str, content: bytes, tmp_path: Path
) -> None:
    written = BY_BYTES[name]
    header = written.write(some_events(written.size, n_events=0), written.size)
    path = tmp_path / "fuzzed"
    path.write_bytes(header + content)
    family = written.family
    read_or_refuse(path, format=family)
    read_or_refuse(path, format=family, lenient=True)
