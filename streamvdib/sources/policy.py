"""What is done about bad events in a recording: one place, whatever the format.

As it comes, a recording raises at the first event that would make the data wrong: earlier than
the one before it, later by more than ``max_gap_us``, or off the sensor; those before it have then
been delivered. The message names the file and the byte. With ``lenient`` each is repaired and
counted:

* ``off_sensor``: dropped.
* ``time_jumps``, ``clock_resets``: a jump forward by more than ``max_gap_us`` or back by more
  than ``RESET_US`` moves all later events, so that time goes on where it was.
* ``reordered``: events that are earlier than one before them are sorted in; ``late``: those too
  late for that are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamvdib.errors import EventOrderError, EventRangeError, StreamVdibError
from streamvdib.events import EventArray, SensorSize, TimedImage
from streamvdib.sources.kernels import EARLIER, GOOD, OFF_SENSOR, first_bad
from streamvdib.sources.reading import count

RESET_US = 1_000_000

Locator = Callable[[int], str]


@dataclass(frozen=True)
class Block:
    """Events as a reader found them, in the order of the file.

    Args:
        events: (n_events,).
        locate: where the event with this index is, such as "byte 1024", for messages.
        images: natural frames no earlier than the block before, in order of time; read through
            once, at the latest before the next block's.
        error: what ends the recording after these events.
    """

    events: EventArray
    locate: Locator
    images: Iterable[TimedImage] = ()
    error: StreamVdibError | None = None


def record_locator(
    offset: int, record_bytes: int, indices: npt.NDArray[np.int64] | None = None
) -> Locator:
    """Offsets of events that are records of one size.

    Args:
        offset: of the first record.
        record_bytes: the size of one.
        indices: which records are the events, (n_events,); None: all.
    """
    if indices is None:
        return lambda index: f"byte {offset + record_bytes * index}"
    return lambda index: f"byte {offset + record_bytes * int(indices[index])}"


def block_locator(place: str) -> Locator:
    """The place of what was decoded as one, for all of its events."""
    return lambda _index: place


class Policy:
    """Checks the events of one recording in order, and repairs them if it may.

    Args:
        name: of the recording, for messages.
        sensor_size: what coordinates must be below.
        lenient: repair and count instead of raising.
        max_gap_us: how far time may jump forward, microseconds.
        counters: where repairs are counted.
    """

    def __init__(
        self,
        name: str,
        sensor_size: SensorSize,
        *,
        lenient: bool,
        max_gap_us: int,
        counters: MutableMapping[str, int],
    ) -> None:
        self._name = name
        self._sensor_size = sensor_size
        self._lenient = lenient
        self._max_gap_us = max_gap_us
        self._counters = counters
        self._last_us: int | None = None  # of the last good event
        self._shift_us = 0  # what repairs of the clock added so far

    def check(
        self, block: Block, delivered_us: int | None
    ) -> tuple[EventArray, StreamVdibError | None]:
        """The block's events in order of time, until one that makes the data wrong; and its error.

        Args:
            block: as read.
            delivered_us: no event may be earlier than this any more.
        """
        events = block.events
        if len(events) == 0:
            return events, block.error
        if self._shift_us:
            events = events.copy()
            events["t_us"] += self._shift_us
        last_us = int(events[0]["t_us"]) if self._last_us is None else self._last_us
        width, height = self._sensor_size
        index, cause = first_bad(events, last_us, width, height, self._max_gap_us)
        if cause != GOOD and not self._lenient:
            return events[:index], self._error(block, events, index, cause, last_us)
        if cause != GOOD:
            events = self._repair(events, last_us, delivered_us)
        if len(events):
            self._last_us = max(last_us, int(events[-1]["t_us"]))
        return events, block.error

    def _error(
        self, block: Block, events: EventArray, index: int, cause: int, last_us: int
    ) -> EventOrderError | EventRangeError:
        where = f"{self._name}, {block.locate(index)}"
        event = events[index]
        if cause == OFF_SENSOR:
            return EventRangeError(
                f"{where}: events must lie on the sensor of {self._sensor_size} pixels; got "
                f"x={event['x']}, y={event['y']}. Give the true size with sensor_size "
                "(--sensor-size), or read with lenient=True (--lenient), which drops and counts "
                "such events."
            )
        before_us = last_us if index == 0 else int(events[index - 1]["t_us"])
        if cause == EARLIER:
            return EventOrderError(
                f"{where}: events must be in order of time; got t={event['t_us']} us after "
                f"t={before_us} us. Sort the recording, or read with lenient=True (--lenient), "
                "which sorts or drops and counts such events."
            )
        return EventOrderError(
            f"{where}: time must not jump by more than {self._max_gap_us} us; got "
            f"t={event['t_us']} us after t={before_us} us. Allow it with max_gap_us, or read with "
            "lenient=True (--lenient), which closes the gap and counts it."
        )

    def _repair(self, events: EventArray, last_us: int, delivered_us: int | None) -> EventArray:
        width, height = self._sensor_size
        on_sensor = (events["x"] < width) & (events["y"] < height)
        count(self._counters, "off_sensor", len(events) - np.count_nonzero(on_sensor))
        events = events[on_sensor]
        if len(events) == 0:
            return events
        self._bridge_clock(events, last_us)
        return self._sort(events, delivered_us)

    def _bridge_clock(self, events: EventArray, last_us: int) -> None:
        """Take jumps out of the times, in place, and out of all that come later."""
        steps = np.diff(events["t_us"], prepend=last_us)
        forward, back = steps > self._max_gap_us, steps < -RESET_US
        count(self._counters, "time_jumps", np.count_nonzero(forward))
        count(self._counters, "clock_resets", np.count_nonzero(back))
        shifts = -np.cumsum(np.where(forward | back, steps, 0))
        events["t_us"] += shifts
        self._shift_us += int(shifts[-1])

    def _sort(self, events: EventArray, delivered_us: int | None) -> EventArray:
        times = events["t_us"]
        early = times < np.maximum.accumulate(times)
        count(self._counters, "reordered", np.count_nonzero(early))
        events = events[np.argsort(times, kind="stable")]
        if delivered_us is not None:
            n_late = int(np.searchsorted(events["t_us"], delivered_us))
            count(self._counters, "late", n_late)
            events = events[n_late:]
        return events
