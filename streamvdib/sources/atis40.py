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

from streamvdib.events import EventArray, SensorSize, empty_events
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block, record_locator
from streamvdib.sources.reading import count, open_stream, read_records
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
    overflow_us = 0
    with open_stream(path, lenient=options.lenient) as stream:
        chunks = read_records(stream, EVENT_BYTES, counters, lenient=options.lenient)
        for offset, data in chunks:
            raw = np.frombuffer(data, np.uint8).reshape(-1, EVENT_BYTES)
            events, indices, overflow_us = _decode(raw, overflow_us, counters)
            yield Block(events, record_locator(offset, EVENT_BYTES, indices))


def _decode(
    raw: npt.NDArray[np.uint8], overflow_us: int, counters: dict[str, int]
) -> tuple[EventArray, npt.NDArray[np.int64] | None, int]:
    """Records to events.

    Args:
        raw: (n_records, 5).
        overflow_us: what overflow marks added so far, microseconds.
        counters: ``overflow_marks`` is raised.

    Returns:
        The events, the indices of their records (None: all), and the new ``overflow_us``.
    """
    rows = raw[:, 1]
    times = _times(raw)
    marks = rows == OVERFLOW_ROW
    n_marks = int(np.count_nonzero(marks))
    indices = None
    if n_marks:
        times = times + OVERFLOW_US * np.cumsum(marks)
        indices = np.flatnonzero(~marks)
        raw, times = raw[indices], times[indices]
        count(counters, "overflow_marks", n_marks)
    events = empty_events(len(raw))
    np.add(times, overflow_us, out=events["t_us"])
    events["x"], events["y"] = raw[:, 0], raw[:, 1]
    events["on"] = raw[:, 2] >> 7
    return events, indices, overflow_us + OVERFLOW_US * n_marks


def _times(raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The 23-bit times of records, microseconds, (n_records,)."""
    high = (raw[:, 2] & 0x7F).astype(np.int64) << 16
    return high | (raw[:, 3].astype(np.int64) << 8) | raw[:, 4]
