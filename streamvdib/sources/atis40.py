"""ATIS events of 40 bits: the files of N-MNIST and N-Caltech101.

    byte 0: x    byte 1: y    byte 2: polarity (bit 7), t bits 16-22    bytes 3, 4: t bits 0-15

t in microseconds. An event with y = 240, one row below the ATIS's last, is no event: it adds
2^13 us to its own time and to all later ones (Orchard et al. 2015, doi:10.3389/fnins.2015.00437,
and the readers published with the data sets).

The file has no header. It is recognised by what its first 4096 events must be: times that begin
soon after zero and do not run back, rows of the sensor; one event in 64 may be damaged.
The sensor is 34x34 (N-MNIST) if all of the first ``INFERENCE_BYTES`` fit, else 240x180 (no
recording of N-Caltech101 is larger), else the ATIS's 304x240; ``sensor_size`` overrules it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamvdib.events import EVENT_DTYPE, SensorSize
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block, Locator
from streamvdib.sources.reading import count, open_stream, read_records
from streamvdib.sources.record_kernels import decode_atis40
from streamvdib.sources.recording import Recording
from streamvdib.sources.sensor_sizes import ATIS, DAVIS240

EVENT_BYTES = 5
OVERFLOW_ROW = 240
OVERFLOW_US = 1 << 13
INFERENCE_BYTES = 1 << 22
N_MNIST = SensorSize(34, 34)
_MAX_FIRST_US = 1 << 21
_MAX_STEP_US = 1 << 20
_ENOUGH_EVENTS = 64


def recognises(head: bytes, path: Path) -> bool:
    """Whether the first bytes read as 40-bit events, nearly all of them possible."""
    del path
    n_events = min(len(head) // EVENT_BYTES, 4096)
    if n_events == 0:
        return False
    raw = np.frombuffer(head, np.uint8, n_events * EVENT_BYTES).reshape(-1, EVENT_BYTES)
    times = _times(raw)
    steps = np.diff(times)
    n_bad = np.count_nonzero((steps < 0) | (steps > _MAX_STEP_US))
    n_bad += np.count_nonzero(raw[:, 1] > OVERFLOW_ROW)
    stands_still = n_events >= _ENOUGH_EVENTS and times[-1] == times[0]  # such as all zeros
    return bool(times[0] <= _MAX_FIRST_US and n_bad <= n_events // 64 and not stands_still)


def open_recording(path: Path, options: ReadOptions) -> Recording:
    """Open a file of 40-bit events."""
    options.only()
    size = options.sensor_size or infer_sensor_size(path)

    def read_blocks(counters: dict[str, int]) -> Iterator[Block]:
        return _read_blocks(path, options, counters)

    return Recording(path, "ATIS 40-bit", size, read_blocks, options)


def infer_sensor_size(path: Path) -> SensorSize:
    """The sensor on which the first events of a file fit."""
    with open_stream(path, lenient=True) as stream:
        data = stream.read(INFERENCE_BYTES)
    raw = np.frombuffer(data, np.uint8, len(data) - len(data) % EVENT_BYTES)
    raw = raw.reshape(-1, EVENT_BYTES)
    raw = raw[raw[:, 1] != OVERFLOW_ROW]
    if len(raw) == 0:
        return N_MNIST
    width, height = int(raw[:, 0].max()) + 1, int(raw[:, 1].max()) + 1
    fitting = (size for size in (N_MNIST, DAVIS240) if width <= size[0] and height <= size[1])
    return next(fitting, ATIS)


def _read_blocks(path: Path, options: ReadOptions, counters: dict[str, int]) -> Iterator[Block]:
    offset_us = 0
    with open_stream(path, lenient=options.lenient) as stream:
        chunks = read_records(stream, EVENT_BYTES, counters, lenient=options.lenient)
        for offset, data in chunks:
            raw = np.frombuffer(data, np.uint8)
            events = np.empty(len(raw) // EVENT_BYTES, dtype=EVENT_DTYPE)
            n_events, n_marks = decode_atis40(raw, OVERFLOW_ROW, OVERFLOW_US, offset_us, events)
            offset_us += OVERFLOW_US * n_marks
            count(counters, "overflow_marks", n_marks)
            yield Block(events[:n_events], _locator(raw, offset))


def _locator(raw: npt.NDArray[np.uint8], offset: int) -> Locator:
    """Looks for the record of an event among those that are no marks."""

    def locate(index: int) -> str:
        records = np.flatnonzero(raw[1::EVENT_BYTES] != OVERFLOW_ROW)
        return f"byte {offset + EVENT_BYTES * int(records[index])}"

    return locate


def _times(raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The 23-bit times of records, microseconds, (n_records,)."""
    high = (raw[:, 2] & 0x7F).astype(np.int64) << 16
    return high | (raw[:, 3].astype(np.int64) << 8) | raw[:, 4]
