"""What a recording holds before an error has been delivered when the error is raised."""

from pathlib import Path

import numpy as np
import pytest
from streamvdib.replay.writers.aedat4 import Encoder

from streamvdib.errors import EventOrderError, RecordingError, TruncatedRecordingError
from streamvdib.events import EventPacket, SensorSize
from streamvdib.sources import open_source
from tests.sources.written import BY_BYTES, delivered, some_events

N_BEFORE = 250
WITH_ORDER = [name for name in BY_BYTES if not name.startswith("Event Stream")]
"""Formats in which time can run back."""


@pytest.mark.parametrize("name", WITH_ORDER)
def test_all_events_before_one_that_is_too_early_are_delivered(name: str, tmp_path: Path) -> None:
    written = BY_BYTES[name]
    events = some_events(written.size)
    events["t_us"] = np.arange(300) * 200
    early = events.copy()
    early["t_us"][N_BEFORE] = 7
    path = tmp_path / "made"
    path.write_bytes(written.write(early, written.size))
    found, error = delivered(open_source(path))
    np.testing.assert_array_equal(found, events[:N_BEFORE])
    assert isinstance(error, EventOrderError)


@pytest.mark.parametrize("name", [name for name in BY_BYTES if name != "NumPy .npz"])
def test_all_events_before_one_that_is_cut_off_are_delivered(name: str, tmp_path: Path) -> None:
    """A .npz has its table at the end; text ends with a polarity here, so half a line is cut."""
    written = BY_BYTES[name]
    events = some_events(written.size)
    path = tmp_path / "made"
    n_cut = 3 if name.startswith("text") else 1
    path.write_bytes(written.write(events, written.size)[:-n_cut])
    found, error = delivered(open_source(path))
    assert isinstance(error, TruncatedRecordingError)
    n_left = 100 if name == "AEDAT 3.1" else 4  # its events come in packets
    assert len(found) >= 300 - n_left
    np.testing.assert_array_equal(found, events[: len(found)])


def test_all_lines_before_a_bad_one_are_delivered(tmp_path: Path) -> None:
    path = tmp_path / "made.txt"
    path.write_text("".join(f"{t} 3 4 1\n" for t in range(1000, 1200)) + "1200 3 x 1\n1201 3 4 1\n")
    found, error = delivered(open_source(path))
    assert found["t_us"].tolist() == list(range(1000, 1200))
    assert isinstance(error, RecordingError)


@pytest.mark.parametrize("damage", ["frame", "table"])
def test_all_packets_of_aedat4_before_a_damaged_one_are_delivered(
    damage: str, tmp_path: Path
) -> None:
    """The third of three packets: its LZ4 frame, or its flatbuffer, is spoilt."""
    size = SensorSize(34, 34)
    encoder, events = Encoder(size), some_events(SensorSize(34, 34))
    packets = [
        bytearray(encoder.encode(EventPacket(part, int(part["t_us"][-1]) + 1)))
        for part in np.array_split(events, 3)
    ]
    packets[2][8 if damage == "frame" else packets[2].index(b"EVTS")] ^= 0xFF
    path = tmp_path / "made.aedat4"
    path.write_bytes(encoder.header() + b"".join(packets))
    found, error = delivered(open_source(path))
    np.testing.assert_array_equal(found, events[:200])
    assert "a packet must be whole" in str(error)
    lenient = open_source(path, lenient=True)
    read = np.concatenate([packet.events for packet in lenient])
    np.testing.assert_array_equal(read, events[:200])
    assert lenient.counters == {"damaged_packets": 1}
