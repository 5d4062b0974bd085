"""Compiled decoders of formats whose events are records of one size.

Times of 32 bits are taken as they are, plus what was lost when the counter started again before;
a decoder says whether it saw a drop that may be another such start, and the caller mends times
then (``unwrapping``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.events import EventArray

Integer = int | np.integer[Any]
DROP_US = 1 << 30  # a drop by more than this may be a counter that started again


@njit(cache=True, nogil=True)
def _emit(
    events: EventArray, n_events: int, t_us: Integer, x: Integer, y: Integer, on: Integer
) -> int:
    """Add one event; gives the new number of events."""
    event = events[n_events]
    event["t_us"] = t_us
    event["x"] = x
    event["y"] = y
    event["on"] = on != 0
    return n_events + 1


@njit(cache=True, nogil=True)
def decode_dat(
    words: npt.NDArray[np.uint32],
    is_old: bool,
    offset_us: int,
    last: int | np.integer[Any],
    events: EventArray,
) -> bool:
    """Decode Prophesee DAT.

    Args:
        words: time and address of each event, (2 * n_events,).
        is_old: addresses are those of versions before 2.
        offset_us: added to times, microseconds.
        last: the time before the first, as recorded.
        events: filled, (n_events,).

    Returns:
        Whether the counter may have started again.
    """
    dropped = False
    n_events = 0
    for index in range(0, len(words), 2):
        t_us, word = np.int64(words[index]), np.int64(words[index + 1])
        dropped |= bool(last - t_us > DROP_US)
        last = t_us
        x, y, on = word & 0x3FFF, (word >> 14) & 0x3FFF, word >> 28
        if is_old:
            x, y, on = word & 0x1FF, (word >> 9) & 0xFF, (word >> 17) & 1
        n_events = _emit(events, n_events, t_us + offset_us, x, y, on)
    return dropped


@njit(cache=True, nogil=True)
def _big_endian(data: npt.NDArray[np.uint8], at: int, n_bytes: int) -> Integer:
    """An unsigned integer of so many bytes."""
    value = np.int64(0)
    for index in range(n_bytes):
        value = (value << 8) | data[at + index]
    return value


@njit(cache=True, nogil=True)
def decode_aedat(
    data: npt.NDArray[np.uint8],
    address_bytes: int,
    is_davis: bool,
    width: int,
    height: int,
    flip_y: bool,
    offset_us: int,
    last: int | np.integer[Any],
    events: EventArray,
    skipped: npt.NDArray[np.int64],
) -> tuple[int, Integer, bool]:
    """Decode AEDAT 1.0 or 2.0.

    Args:
        data: whole records, (n_bytes,).
        address_bytes: 2 or 4, before 4 of time.
        is_davis: how addresses are to be read.
        width: columns, which count from the right.
        height: rows.
        flip_y: rows count from below.
        offset_us: added to times, microseconds.
        last: the time before the first, as recorded.
        events: filled, (n_records,) at least.
        skipped: APS and IMU words, and external events, are added to it, (2,).

    Returns:
        How many events, the last one's time as recorded, whether the counter may have started
        again.
    """
    n_events, dropped = 0, False
    record_bytes = address_bytes + 4
    for at in range(0, len(data), record_bytes):
        address = _big_endian(data, at, address_bytes)
        if is_davis:
            if address & 0x80000400:
                skipped[0 if address & 0x80000000 else 1] += 1
                continue
            x, y, on = (address >> 12) & 0x3FF, (address >> 22) & 0x1FF, (address >> 11) & 1
        else:
            if address & 0xFFFF8000:
                skipped[1] += 1
                continue
            x, y, on = (address >> 1) & 0x7F, (address >> 8) & 0x7F, (address & 1) ^ 1
        t_us = _big_endian(data, at + address_bytes, 4)
        dropped |= bool(last - t_us > DROP_US)
        last = t_us
        row = height - 1 - y if flip_y else y  # one off the sensor becomes large, being unsigned
        n_events = _emit(events, n_events, t_us + offset_us, width - 1 - x, row, on)
    return n_events, int(last), dropped


@njit(cache=True, nogil=True)
def decode_atis40(
    data: npt.NDArray[np.uint8],
    overflow_row: int,
    overflow_us: int,
    offset_us: int,
    events: EventArray,
) -> tuple[int, int]:
    """Decode ATIS events of 40 bits.

    Args:
        data: whole records, (5 * n_records,).
        overflow_row: the row that marks an overflow.
        overflow_us: what a mark adds to times, microseconds.
        offset_us: what marks added so far, microseconds.
        events: filled, (n_records,) at least.

    Returns:
        How many events, and how many marks.
    """
    n_events, n_marks = 0, 0
    for at in range(0, len(data), 5):
        third = np.int64(data[at + 2])
        if data[at + 1] == overflow_row:
            n_marks += 1
            offset_us += overflow_us
            continue
        t_us = ((third & 0x7F) << 16) | (np.int64(data[at + 3]) << 8) | data[at + 4]
        n_events = _emit(events, n_events, t_us + offset_us, data[at], data[at + 1], third >> 7)
    return n_events, n_marks


@njit(cache=True, nogil=True)
def copy_columns(
    t_us: npt.NDArray[np.int64],
    x: npt.NDArray[np.uint16],
    y: npt.NDArray[np.uint16],
    on: npt.NDArray[np.bool_],
    events: EventArray,
) -> None:
    """Copy columns to ``events``, (n_events,) each."""
    for index in range(len(t_us)):
        _emit(events, index, t_us[index], x[index], y[index], on[index])
