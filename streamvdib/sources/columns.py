"""Columns of times, coordinates and polarities, of whatever type, made into events."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streamvdib.errors import ConfigurationError, RecordingError
from streamvdib.events import EVENT_DTYPE, EventArray
from streamvdib.sources.kernels import OFF_ANY_SENSOR
from streamvdib.sources.record_kernels import copy_columns

NAMES = {
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps", "t_us", "t_s"),
    "x": ("x", "xs", "col", "column"),
    "y": ("y", "ys", "row"),
    "p": ("p", "ps", "pol", "polarity", "polarities", "on"),
}
SCALES_US = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
_UNIT_IN_NAME = re.compile(r"[_\[(](s|ms|us|ns)[\])]?$")
_LARGEST_US = 10**17


@dataclass(frozen=True)
class ColumnNames:
    """What each column is called in one recording."""

    t: str
    x: str
    y: str
    p: str


def find_columns(names: Sequence[str]) -> ColumnNames | None:
    """Which of ``names`` mean t, x, y and p; None if not all four are there."""
    lower = {_UNIT_IN_NAME.sub("", name.lower()): name for name in names}
    found = {
        column: next((lower[alias] for alias in aliases if alias in lower), None)
        for column, aliases in NAMES.items()
    }
    if any(name is None for name in found.values()):
        return None
    return ColumnNames(**{column: str(name) for column, name in found.items()})


def time_unit(name: str, first: npt.NDArray[Any], options: Mapping[str, object]) -> str:
    """The unit of a column of times: an option, its name, or what the first ones look like.

    Floating point numbers are seconds, unless all are whole and one is 1000 or more: then they
    are microseconds, as integers are. Integers beyond 10^17 are nanoseconds, as since 1970.

    Args:
        name: of the column.
        first: the first times, (n_events,).
        options: ``time_unit`` "s", "ms", "us" or "ns".
    """
    unit = options.get("time_unit")
    if unit is not None:
        if unit not in SCALES_US:
            raise ConfigurationError(
                f"time_unit must be one of {', '.join(SCALES_US)}; got {unit!r}"
            )
        return str(unit)
    if match := _UNIT_IN_NAME.search(name):
        return match[1]
    largest = first.max(initial=0)
    if first.dtype.kind == "f":
        is_whole = largest >= 1000 and bool((first == np.floor(first)).all())
        return "us" if is_whole else "s"
    return "ns" if largest > _LARGEST_US else "us"


def column_order(rows: npt.NDArray[Any], orders: Sequence[str]) -> str:
    """The first order of columns that the first events do not contradict.

    Polarities are -1, 0 or 1, coordinates are none below zero, and times do not run back.

    Args:
        rows: the first events, (n_events, n_columns).
        orders: such as "t x y p"; the first is taken if none fits.
    """
    for order in orders:
        names = order.split()
        t, x, y, p = (rows[:, names.index(name)] for name in "txyp")
        fits = bool((np.diff(t) >= 0).all()) and _are_polarities(p)
        if fits and bool((x >= 0).all() and (y >= 0).all()):
            return order
    return orders[0]


def events_from_columns(
    t: npt.NDArray[Any],
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    p: npt.NDArray[Any],
    unit: str,
    where: str,
) -> EventArray:
    """Columns into events.

    Args:
        t: times, (n_events,).
        x: columns, (n_events,).
        y: rows, (n_events,).
        p: polarities: 1 or true is ON, 0, -1 and false are OFF, (n_events,).
        unit: of the times.
        where: file and place, for messages.

    Raises:
        RecordingError: a column is no number or a polarity is none.
    """
    for column, values in (("t", t), ("x", x), ("y", y), ("p", p)):
        if values.dtype.kind not in "iufb" or values.ndim != 1:
            raise RecordingError(
                f"{where}: column {column} must hold one number per event; it is of type "
                f"{values.dtype} and of shape {values.shape}. Save it again as numbers."
            )
    if not _are_polarities(p):
        raise RecordingError(
            f"{where}: polarities must be -1, 0 or 1; got {p[(p != 0) & (abs(p) != 1)][0]}. Name "
            "the columns with columns=... if their order is another."
        )
    events = np.empty(len(t), dtype=EVENT_DTYPE)
    on = p if p.dtype.kind == "b" else p > 0
    copy_columns(_times(t, unit, where), _coordinates(x), _coordinates(y), on, events)
    return events


def _are_polarities(p: npt.NDArray[Any]) -> bool:
    if p.dtype.kind == "b" or len(p) == 0:
        return True
    if p.dtype.kind == "u":
        return bool(p.max() <= 1)
    return bool(((p == 0) | (np.abs(p) == 1)).all())


def _times(t: npt.NDArray[Any], unit: str, where: str) -> npt.NDArray[np.int64]:
    scale = SCALES_US[unit]
    if t.dtype.kind == "f":
        scaled = t.astype(np.float64) * scale
        if not (np.abs(scaled) < 2.0**62).all():
            raise RecordingError(
                f"{where}: times must be finite and in the unit stated ({unit}); some are not. "
                "Give the unit with time_unit=..."
            )
        return np.rint(scaled).astype(np.int64)
    times = t.astype(np.int64, copy=False)
    if unit == "us":
        return times
    return times // 1000 if unit == "ns" else times * int(scale)


def _coordinates(values: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """Unsigned 16 bits; what does not fit lies off any sensor."""
    if values.dtype == np.uint16:
        return values
    with np.errstate(invalid="ignore"):
        fits = (values >= 0) & (values < OFF_ANY_SENSOR)
    return np.where(fits, values, OFF_ANY_SENSOR).astype(np.uint16)
