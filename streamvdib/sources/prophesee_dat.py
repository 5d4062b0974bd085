"""Prophesee DAT: a text header, two bytes on the events, events of eight bytes.

    little-endian u32 time in microseconds, u32: 0-13 x, 14-27 y, 28-31 polarity (not 0 is ON)
    before version 2, as of the first ATIS:      0-8 x, 9-16 y, 17 polarity

A header may lack the sensor's size, as those of N-CARS do: the sensor is then the largest crop
of N-CARS, 120x100, or the smallest known one, on which the first ``CHUNK_BYTES`` fit. The event
size is checked; 2-D and CD events (types 0x00 and 0x0C) are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from streamvdib.errors import RecordingError
from streamvdib.events import EVENT_DTYPE, SensorSize
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
from streamvdib.sources.record_kernels import decode_dat
from streamvdib.sources.recording import Recording
from streamvdib.sources.sensor_sizes import ATIS, smallest_known
from streamvdib.sources.unwrapping import Unwrapper

N_CARS = SensorSize(120, 100)
_EVENT_BYTES = 8
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
    is_old = header.fields.get("version", "1") != "2"
    inferred = ATIS if is_old else _infer_sensor_size(path, first)
    size = options.sensor_size or header.sensor_size or inferred

    def read_blocks(counters: dict[str, int]) -> Iterator[Block]:
        return _read_blocks(path, is_old, options, counters)

    return Recording(path, "Prophesee DAT", size, read_blocks, options)


def _read_start(stream: ByteStream) -> PropheseeHeader:
    """Read the header and the two bytes after it."""
    header = read_header(stream)
    version = header.fields.get("version", "1")
    if version not in ("0", "1", "2"):
        raise RecordingError(
            f"{stream.name}: DAT must be of version 0 to 2; the header says {version!r}. Convert "
            "it."
        )
    kind = stream.read(2)
    if len(kind) == 0:
        return header
    if len(kind) < 2 or kind[0] not in _EVENT_TYPES or kind[1] != _EVENT_BYTES:
        raise RecordingError(
            f"{stream.name}, byte {header.n_bytes}: events must be of type 0 or 12 and of 8 bytes; "
            f"the bytes are {kind.hex(' ')}. {REMEDY}."
        )
    return header


def _infer_sensor_size(path: Path, first: bytes) -> SensorSize:
    words = np.frombuffer(first, "<u4", len(first) // _EVENT_BYTES * 2)[1::2]
    width, height = (words & 0x3FFF).max(initial=0) + 1, (words >> 14 & 0x3FFF).max(initial=0) + 1
    if width <= N_CARS.width and height <= N_CARS.height:
        return N_CARS
    return smallest_known(int(width), int(height), str(path))


def _read_blocks(
    path: Path, is_old: bool, options: ReadOptions, counters: dict[str, int]
) -> Iterator[Block]:
    unwrap = Unwrapper(counters)
    with open_stream(path, lenient=options.lenient) as stream:
        _read_start(stream)
        chunks = read_records(stream, _EVENT_BYTES, counters, lenient=options.lenient)
        for offset, data in chunks:
            words = np.frombuffer(data, "<u4")
            events = np.empty(len(words) // 2, dtype=EVENT_DTYPE)
            if decode_dat(words, is_old, unwrap.offset_us, unwrap.last, events):
                events["t_us"] = unwrap(words[::2].astype(np.int64))
            else:
                unwrap.advance(int(words[-2]))
            yield Block(events, record_locator(offset, _EVENT_BYTES))
