"""Prophesee DAT version 2: a text header, two bytes on the events, events of eight bytes.

    little-endian u32 time in microseconds, u32: 0-13 x, 14-27 y, 28-31 polarity (not 0 is ON)

A header may lack the sensor's size, as those of N-CARS do: the sensor is then the largest crop
of N-CARS, 120x100, or the smallest known one, on which the first ``CHUNK_BYTES`` fit. The event
size is checked; 2-D and CD events (types 0x00 and 0x0C) are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamvdib.errors import RecordingError
from streamvdib.events import EventArray, SensorSize, as_events
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block, record_locator
from streamvdib.sources.prophesee_header import PropheseeHeader, read_header
from streamvdib.sources.reading import (
    CHUNK_BYTES,
    REMEDY,
    ByteStream,
    open_stream,
    read_records,
)
from streamvdib.sources.recording import Recording
from streamvdib.sources.sensor_sizes import smallest_known
from streamvdib.sources.unwrapping import Unwrapper

N_CARS = SensorSize(120, 100)
_RECORD = np.dtype([("t_us", "<u4"), ("word", "<u4")])
_EVENT_TYPES = (0x00, 0x0C)


def recognises(head: bytes, path: Path) -> bool:
    """Whether a header of Prophesee gives a version and no encoding."""
    del path
    if not head.startswith(b"%"):
        return False
    text = head[:4096].lower()
    return b"% version" in text or b"% data file containing" in text or b"% height" in text


def open_recording(path: Path, options: ReadOptions) -> Recording:
    """Open a DAT file."""
    options.only()
    with open_stream(path, lenient=True) as stream:
        header = _read_start(stream)
        first = stream.read(CHUNK_BYTES)
    size = options.sensor_size or header.sensor_size or _infer_sensor_size(path, first)

    def read_blocks(counters: dict[str, int]) -> Iterator[Block]:
        return _read_blocks(path, options, counters)

    return Recording(path, "Prophesee DAT", size, read_blocks, options)


def _read_start(stream: ByteStream) -> PropheseeHeader:
    """Read the header and the two bytes after it."""
    header = read_header(stream)
    version = header.fields.get("version", "1")
    if version != "2":
        raise RecordingError(
            f"{stream.name}: DAT must be of version 2; the header says {version!r}. Convert it."
        )
    kind = stream.read(2)
    if len(kind) == 0:
        return header
    if len(kind) < 2 or kind[0] not in _EVENT_TYPES or kind[1] != _RECORD.itemsize:
        raise RecordingError(
            f"{stream.name}, byte {header.n_bytes}: events must be of type 0 or 12 and of 8 bytes; "
            f"the bytes are {kind.hex(' ')}. {REMEDY}."
        )
    return header


def _infer_sensor_size(path: Path, first: bytes) -> SensorSize:
    records = np.frombuffer(first, _RECORD, len(first) // _RECORD.itemsize)
    if len(records) == 0:
        return N_CARS
    events = _events(records, records["t_us"].astype(np.int64))
    width, height = int(events["x"].max()) + 1, int(events["y"].max()) + 1
    if width <= N_CARS.width and height <= N_CARS.height:
        return N_CARS
    return smallest_known(width, height, str(path))


def _read_blocks(path: Path, options: ReadOptions, counters: dict[str, int]) -> Iterator[Block]:
    unwrap = Unwrapper(counters)
    with open_stream(path, lenient=options.lenient) as stream:
        _read_start(stream)
        chunks = read_records(stream, _RECORD.itemsize, counters, lenient=options.lenient)
        for offset, data in chunks:
            records = np.frombuffer(data, _RECORD)
            events = _events(records, unwrap(records["t_us"].astype(np.int64)))
            yield Block(events, record_locator(offset, _RECORD.itemsize))


def _events(records: npt.NDArray[np.void], times: npt.NDArray[np.int64]) -> EventArray:
    words = records["word"].astype(np.uint32)
    return as_events(times, words & 0x3FFF, (words >> 14) & 0x3FFF, words >> 28)
