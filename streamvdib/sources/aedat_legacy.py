"""AEDAT 1.0 and 2.0: what jAER wrote for the DVS128 and the DAVIS cameras.

Big-endian words: an address of 16 bits (1.0) or 32 bits (2.0), then 32 bits of unsigned time in
microseconds.

    DVS128   bit 15 and up: external event   8-14: y   1-7: x   0: 0 is ON
    DAVIS    bit 31: APS or IMU   22-30: y   12-21: x   11: 1 is ON   10: external event

x counts from the right on both, and is mirrored here. y of the DVS128 is taken as it is; y of
the DAVIS counts from below, and is turned over (jAER packs it as height - 1 - y). The option
``flip_y`` turns rows over once more. APS, IMU and external words are skipped and counted.

A header without the chip's name means a DVS128, unless addresses need more than 16 bits: then a
DAVIS, the smallest on which the first ``CHUNK_BYTES`` fit. The option ``chip`` overrules both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamvdib.errors import ConfigurationError, RecordingError
from streamvdib.events import EVENT_DTYPE, SensorSize
from streamvdib.sources.aedat_header import AedatHeader, read_header
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block
from streamvdib.sources.reading import CHUNK_BYTES, count, open_stream, read_records
from streamvdib.sources.record_kernels import decode_aedat
from streamvdib.sources.recording import Recording
from streamvdib.sources.sensor_sizes import DAVIS240, DAVIS346, DAVIS640, DVS128
from streamvdib.sources.unwrapping import Unwrapper

_MAGICS = (b"#!AER-DAT1", b"#!AER-DAT2", b"# This is a raw AE data file")
_RECORD = {
    1: np.dtype([("address", ">u2"), ("t_us", ">u4")]),
    2: np.dtype([("address", ">u4"), ("t_us", ">u4")]),
}


@dataclass(frozen=True)
class _Layout:
    """How the words of one file are to be read."""

    record: np.dtype[np.void]
    is_davis: bool
    size: SensorSize
    flip_y: bool


def recognises(head: bytes, path: Path) -> bool:
    """Whether a header of jAER begins the file."""
    del path
    return head.startswith(_MAGICS)


def open_recording(path: Path, options: ReadOptions) -> Recording:
    """Open an AEDAT 1.0 or 2.0 file.

    Options: ``chip`` ("DVS128", "DAVIS240", "DAVIS346", "DAVIS640"), ``flip_y`` (bool).
    """
    options.only("chip", "flip_y")
    with open_stream(path, lenient=True) as stream:
        header = read_header(stream)
        first = stream.read(CHUNK_BYTES)
    if header.version[0] not in _RECORD:
        raise RecordingError(f"{path}: must be AEDAT 1 or 2; its header says {header.version}")
    header = _with_chip(header, options)
    record = _RECORD[header.version[0]]
    is_davis, size = _sensor(header, np.frombuffer(first, record, len(first) // record.itemsize))
    flip_y = bool(options.format_options.get("flip_y", False)) != is_davis
    layout = _Layout(record, is_davis, options.sensor_size or size, flip_y)
    family = "DAVIS" if is_davis else "DVS128"
    name = f"AEDAT {header.version[0]}.0 ({family})"

    def read_blocks(counters: dict[str, int]) -> Iterator[Block]:
        return _read_blocks(path, layout, options, counters)

    return Recording(path, name, layout.size, read_blocks, options)


def _with_chip(header: AedatHeader, options: ReadOptions) -> AedatHeader:
    chip = options.format_options.get("chip")
    if chip is None:
        return header
    named = replace(header, chip=str(chip).lower())
    if named.sensor_size is None:
        raise ConfigurationError(
            f"chip must be DVS128, DAVIS240, DAVIS346 or DAVIS640; got {chip!r}"
        )
    return named


def _sensor(header: AedatHeader, records: npt.NDArray[np.void]) -> tuple[bool, SensorSize]:
    """Whether the sensor is a DAVIS, and its size."""
    addresses = records["address"].astype(np.uint32)
    is_davis = header.is_davis or (header.sensor_size is None and bool((addresses > 0xFFFF).any()))
    if header.sensor_size is not None:
        return is_davis, header.sensor_size
    if not is_davis:
        return False, DVS128
    addresses = addresses[(addresses & 0x80000400) == 0]
    width, height = ((addresses >> 12) & 0x3FF).max(initial=0), (addresses >> 22).max(initial=0)
    fitting = (size for size in (DAVIS240, DAVIS346) if width < size[0] and height < size[1])
    return True, next(fitting, DAVIS640)


def _read_blocks(
    path: Path, layout: _Layout, options: ReadOptions, counters: dict[str, int]
) -> Iterator[Block]:
    unwrap = Unwrapper(counters)
    record_bytes = layout.record.itemsize
    with open_stream(path, lenient=options.lenient) as stream:
        read_header(stream)
        chunks = read_records(stream, record_bytes, counters, lenient=options.lenient)
        for offset, data in chunks:
            yield _decode(data, layout, unwrap, offset, counters)


def _decode(
    data: bytes, layout: _Layout, unwrap: Unwrapper, offset: int, counters: dict[str, int]
) -> Block:
    raw = np.frombuffer(data, np.uint8)
    record_bytes = layout.record.itemsize
    events = np.empty(len(raw) // record_bytes, dtype=EVENT_DTYPE)
    skipped = np.zeros(2, dtype=np.int64)
    n_events, last, dropped = decode_aedat(
        raw,
        record_bytes - 4,
        layout.is_davis,
        layout.size.width,
        layout.size.height,
        layout.flip_y,
        unwrap.offset_us,
        unwrap.last,
        events,
        skipped,
    )
    count(counters, "aps_imu_words", skipped[0])
    count(counters, "external_events", skipped[1])
    if dropped:
        records = np.frombuffer(data, layout.record)[_event_records(data, layout)]
        events["t_us"][:n_events] = unwrap(records["t_us"].astype(np.int64))
    else:
        unwrap.advance(last)

    def locate(index: int) -> str:
        return f"byte {offset + record_bytes * int(_event_records(data, layout)[index])}"

    return Block(events[:n_events], locate)


def _event_records(data: bytes, layout: _Layout) -> npt.NDArray[np.int64]:
    """Indices of the words that are events."""
    addresses = np.frombuffer(data, layout.record)["address"].astype(np.uint32)
    other = 0x80000400 if layout.is_davis else 0xFFFF8000
    return np.flatnonzero((addresses & np.uint32(other)) == 0)
