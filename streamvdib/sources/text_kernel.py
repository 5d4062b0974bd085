"""Compiled parser of lines of numbers: exact decimal arithmetic, no floating point.

A number is an integer m of up to 18 digits and a power of ten e; what is stored is
round(m * 10^(e + s)), halves up, where s scales seconds to microseconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.events import EventArray

T, X, Y, P, IGNORED = 0, 1, 2, 3, 4
"""What a column means."""

Integer = int | np.integer[Any]

OK, BAD_NUMBER, WRONG_COLUMNS, BAD_POLARITY, EMPTY = 0, 1, 2, 3, 4

_MAX_DIGITS = 18
_MAX_ROUNDED = 1 << 62
_LARGEST_COORDINATE = 65535


@njit(cache=True, nogil=True)
def _rounded(mantissa: Integer, exponent: int) -> Integer:
    """The value mantissa * 10^exponent, rounded; ``_MAX_ROUNDED`` if it is too large."""
    value = np.int64(mantissa)
    while exponent > 0 and value != 0:
        if value > _MAX_ROUNDED // 10:
            return _MAX_ROUNDED
        value *= 10
        exponent -= 1
    if exponent < 0:
        if exponent < -_MAX_DIGITS:
            return 0
        divisor = np.int64(1)
        for _ in range(-exponent):
            divisor *= 10
        value = value // divisor + (1 if value % divisor * 2 >= divisor else 0)
    return value


@njit(cache=True, nogil=True)
def _number(data: npt.NDArray[np.uint8], start: int, scale: int) -> tuple[Integer, int]:
    """The number at ``start`` in any notation, and where it ends; ``start`` if there is none."""
    index = start
    negative = False
    if index < len(data) and (data[index] == 45 or data[index] == 43):  # - +
        negative = data[index] == 45
        index += 1
    mantissa, exponent, n_digits, n_kept = np.int64(0), 0, 0, 0
    in_fraction = False
    while index < len(data):
        byte = data[index]
        if 48 <= byte <= 57:
            n_digits += 1
            if n_kept < _MAX_DIGITS:
                mantissa = mantissa * 10 + (byte - 48)
                n_kept += mantissa != 0
                exponent -= in_fraction
            else:
                exponent += not in_fraction
        elif byte == 46 and not in_fraction:  # .
            in_fraction = True
        else:
            break
        index += 1
    if n_digits == 0:
        return 0, start
    if index < len(data) and (data[index] == 101 or data[index] == 69):  # e E
        index += 1
        down = False
        if index < len(data) and (data[index] == 45 or data[index] == 43):
            down = data[index] == 45
            index += 1
        power, first = 0, index
        while index < len(data) and 48 <= data[index] <= 57:
            power = min(power * 10 + (data[index] - 48), 10_000)
            index += 1
        if index == first:
            return 0, start
        exponent += -power if down else power
    value = _rounded(mantissa, exponent + scale)
    return (-value if negative else value), index


@njit(cache=True, nogil=True)
def _is_separator(byte: int) -> bool:
    return byte == 32 or byte == 9 or byte == 44 or byte == 59  # space tab , ;


@njit(cache=True, nogil=True)
def _line(
    data: npt.NDArray[np.uint8],
    start: int,
    columns: npt.NDArray[np.int64],
    scale: int,
    values: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Parse the line at ``start`` into ``values`` (t, x, y, p, ignored).

    Returns:
        A cause, and where parsing stopped: at a line's end if nothing is wrong.
    """
    index, n_columns = start, 0
    while True:
        while index < len(data) and (_is_separator(data[index]) or data[index] == 13):
            index += 1
        if index == len(data) or data[index] == 10:
            complete = n_columns == len(columns)
            return (OK if complete else EMPTY if n_columns == 0 else WRONG_COLUMNS), index
        if n_columns == len(columns):
            return WRONG_COLUMNS, index
        column = columns[n_columns]
        value, stop = _number(data, index, scale if column == T else 0)
        if stop == index:
            return BAD_NUMBER, index
        ended = stop == len(data) or data[stop] == 10 or data[stop] == 13
        if not ended and not _is_separator(data[stop]):
            return BAD_NUMBER, index
        values[column] = value
        index = stop
        n_columns += 1


@njit(cache=True, nogil=True, inline="always")
def _plain_line(
    data: npt.NDArray[np.uint8],
    start: int,
    columns: npt.NDArray[np.int64],
    scale: int,
    values: npt.NDArray[np.int64],
) -> int:
    """Parse a line of digits, single separators and one point in the time; most lines are so.

    Returns:
        Where the line ends, or -1 if it is another: ``_line`` then says what it is.
    """
    index, n_bytes, n_columns, done = start, len(data), len(columns), 0
    while done < n_columns:
        column = columns[done]
        negative = column == P and index < n_bytes and data[index] == 45
        index += negative
        value, first = np.int64(0), index
        while index < n_bytes and 48 <= data[index] <= 57:
            value = value * 10 + (np.int64(data[index]) - 48)
            index += 1
        if index == first or index - first > 12:
            return -1
        if column == T:
            missing = scale
            if missing > 0 and index < n_bytes and data[index] == 46:
                index += 1
                while missing > 0 and index < n_bytes and 48 <= data[index] <= 57:
                    value = value * 10 + (np.int64(data[index]) - 48)
                    missing -= 1
                    index += 1
            while missing > 0:
                value *= 10
                missing -= 1
        values[column] = -value if negative else value
        done += 1
        end = np.int64(data[index]) if index < n_bytes else 10
        if done < n_columns:
            if end != 32 and end != 44 and end != 9:
                return -1
            index += 1
        elif end != 10 and end != 13:
            return -1
    return index


@njit(cache=True, nogil=True)
def parse_lines(
    data: npt.NDArray[np.uint8],
    columns: npt.NDArray[np.int64],
    scale: int,
    events: EventArray,
    offsets: npt.NDArray[np.int64],
    lenient: bool,
) -> tuple[int, int, int, int]:
    """Parse whole lines into events.

    Args:
        data: text of whole lines, (n_bytes,).
        columns: what each column means, (n_columns,).
        scale: times are multiplied by ten to this power.
        events: filled, (n_lines,) at least.
        offsets: filled with where each event's line begins, (n_lines,) at least.
        lenient: go on after a bad line.

    Returns:
        How many events, how many bad lines, the first bad line's cause and where it begins.
    """
    values = np.zeros(5, dtype=np.int64)
    is_plain = scale >= 0
    n_events, n_bad, cause, bad_at, start = 0, 0, OK, 0, 0
    while start < len(data):
        found, stop = OK, -1
        if is_plain:
            stop = _plain_line(data, start, columns, scale, values)
        if stop < 0:
            found, stop = EMPTY, start
            if data[start] != 35 and data[start] != 37:  # '#', '%'
                found, stop = _line(data, start, columns, scale, values)
        if found == OK and not -1 <= values[P] <= 1:
            found = BAD_POLARITY
        if found == OK:
            event = events[n_events]
            event["t_us"] = values[T]
            x, y = values[X], values[Y]
            event["x"] = x if 0 <= x < _LARGEST_COORDINATE else _LARGEST_COORDINATE
            event["y"] = y if 0 <= y < _LARGEST_COORDINATE else _LARGEST_COORDINATE
            event["on"] = values[P] == 1
            offsets[n_events] = start
            n_events += 1
        elif found != EMPTY:
            if n_bad == 0:
                cause, bad_at = found, start
            n_bad += 1
            if not lenient:
                break
        while stop < len(data) and data[stop] != 10:
            stop += 1
        start = stop + 1
    return n_events, n_bad, cause, bad_at
