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

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamvdib.errors import ConfigurationError, RecordingError
from streamvdib.events import SensorSize, as_events
from streamvdib.sources.aedat_header import AedatHeader, read_header
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block, record_locator
from streamvdib.sources.reading import CHUNK_BYTES, count, open_stream, read_records
from streamvdib.sources.recording import Recording
from streamvdib.sources.sensor_sizes import DAVIS240, DAVIS346, DAVIS640, DVS128
from streamvdib.sources.unwrapping import Unwrapper

_MAGICS = (b"#!AER-DAT1", b"#!AER-DAT2", b"# This is a raw AE data file")
_RECORD = {
    1: np.dtype([("address", ">u2"), ("t_us", ">u4")]),
    2: np.dtype([("address", ">u4"), ("t_us", ">u4")]),
}
Addresses = npt.NDArray[np.uint32]
Times = npt.NDArray[np.int64]


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
    record = layout.record
    with open_stream(path, lenient=options.lenient) as stream:
        read_header(stream)
        chunks = read_records(stream, record.itemsize, counters, lenient=options.lenient)
        for offset, data in chunks:
            records = np.frombuffer(data, record)
            yield _decode(records, layout, unwrap, offset, counters)


def _decode(
    records: npt.NDArray[np.void],
    layout: _Layout,
    unwrap: Callable[[Times], Times],
    offset: int,
    counters: dict[str, int],
) -> Block:
    addresses = records["address"].astype(np.uint32)
    times = records["t_us"].astype(np.int64)
    indices = _dvs_words(addresses, layout, counters)
    if indices is not None:
        addresses, times = addresses[indices], times[indices]
    if layout.is_davis:
        x, y, on = (addresses >> 12) & 0x3FF, (addresses >> 22) & 0x1FF, (addresses >> 11) & 1
    else:
        x, y, on = (addresses >> 1) & 0x7F, (addresses >> 8) & 0x7F, (addresses & 1) ^ 1
    x = layout.size.width - 1 - x  # one off the sensor becomes a large unsigned number
    if layout.flip_y:
        y = layout.size.height - 1 - y
    events = as_events(unwrap(times), x.astype(np.uint16), y.astype(np.uint16), on)
    return Block(events, record_locator(offset, layout.record.itemsize, indices))


def _dvs_words(
    addresses: Addresses, layout: _Layout, counters: dict[str, int]
) -> npt.NDArray[np.int64] | None:
    """Indices of the words that are events; None if all are."""
    aps_or_imu, external = (0x80000000, 0x400) if layout.is_davis else (0, 0xFFFF8000)
    other = (addresses & np.uint32(aps_or_imu | external)) != 0
    n_other = int(np.count_nonzero(other))
    if n_other == 0:
        return None
    n_aps_or_imu = int(np.count_nonzero(addresses & np.uint32(aps_or_imu)))
    count(counters, "aps_imu_words", n_aps_or_imu)
    count(counters, "external_events", n_other - n_aps_or_imu)
    return np.flatnonzero(~other)
