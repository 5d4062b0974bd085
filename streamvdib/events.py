"""Events, packets of events, and the size of the sensor they come from.

An event camera (dynamic vision sensor, DVS) reports for each pixel the moments at which its
log intensity rose (ON) or fell (OFF) by a threshold. Time stamps are integer microseconds of
the sensor's own clock everywhere in this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

EVENT_DTYPE = np.dtype([("t_us", "<i8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")])
"""One event: time (microseconds), column, row (from the top left), polarity (True is ON)."""

EventArray = npt.NDArray[np.void]
"""A one-dimensional array of ``EVENT_DTYPE``."""


class SensorSize(NamedTuple):
    """Pixels across and down. Arrays of pixels are (height, width)."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class TimedImage:
    """A natural image with the time at which it was true, such as a DAVIS sensor's APS frame."""

    t_us: int  # sensor time of the middle of the exposure, microseconds
    pixels: npt.NDArray[np.uint8]  # (height, width)


@dataclass(frozen=True)
class EventPacket:
    """Events in order of time, and the time up to which nothing more will come.

    Every event satisfies ``t_us < end_us``. A packet without events still moves time on: a
    silent scene ticks. ``images`` are those of the sensor's own natural frames, if it takes
    any, with ``t_us < end_us``.
    """

    events: EventArray  # EVENT_DTYPE, (n_events,)
    end_us: int
    images: tuple[TimedImage, ...] = ()


def empty_events(n_events: int = 0) -> EventArray:
    """An array of ``n_events`` zeroed events."""
    return np.zeros(n_events, dtype=EVENT_DTYPE)


def as_events(
    t_us: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike, on: npt.ArrayLike
) -> EventArray:
    """Columns into one event array.

    Args:
        t_us: times, microseconds, (n_events,).
        x: columns, (n_events,).
        y: rows, (n_events,).
        on: polarity, true is ON, (n_events,).
    """
    times = np.asarray(t_us, dtype=np.int64)
    events = empty_events(len(times))
    events["t_us"], events["x"], events["y"], events["on"] = times, x, y, on
    return events
