"""Turns the clock of a live device into one time that never runs backwards.

A live stream is not refused for one bad event: what cannot be placed is dropped and counted.

=============================================  =============================================
what comes                                     what is done
=============================================  =============================================
a pixel off the sensor                         dropped, ``off_sensor``
earlier than the newest, by up to 1 s          dropped, ``late``
a 32-bit clock passes zero                     time goes on, ``clock_wraps``
far back, or ahead by more than ``max_gap_us`` dropped, ``clock_jump``; after 64 such events in
                                               a row, or at once after a new connection, the
                                               clock is taken to have been reset: time goes on
                                               from the newest event, ``clock_resets``
=============================================  =============================================

Every decision depends on the order of the events alone, never on how they were cut into
batches. Equal times keep their order.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.events import EventArray, SensorSize, empty_events

LATE_US = 1_000_000
JUMP_EVENTS = 64
DEFAULT_MAX_GAP_US = 3_600_000_000

# Where the numbers lie in the state that the compiled loop carries from batch to batch.
RAW, UNWRAPPED, OFFSET, NEWEST, RESUME, STARTED, FRESH, RUN = range(8)
OFF_SENSOR, LATE, JUMP, WRAPS, RESETS, N_STATE = range(8, 14)
_GOOD, _DROPPED, _RESET = range(3)
_HALF: Final = 1 << 31
_FULL: Final = 1 << 32

COUNTED = {
    "off_sensor": OFF_SENSOR,
    "late": LATE,
    "clock_jump": JUMP,
    "clock_wraps": WRAPS,
    "clock_resets": RESETS,
}
"""Counter -> its place in the state. The first three count events that were dropped."""


class Timeline:
    """Admits events into one order of time. Memory: 14 integers."""

    def __init__(
        self,
        sensor_size: SensorSize,
        *,
        time_bits: int = 64,
        max_gap_us: int = DEFAULT_MAX_GAP_US,
    ) -> None:
        self._sensor_size = sensor_size
        self._is_short = time_bits == 32
        self._max_gap_us = max_gap_us
        self._state = np.zeros(N_STATE, dtype=np.int64)
        self._state[RESUME] = np.iinfo(np.int64).min

    @property
    def newest_us(self) -> int | None:
        """The time of the newest event admitted; None before the first."""
        return int(self._state[NEWEST]) if self._state[STARTED] else None

    @property
    def shift_us(self) -> int:
        """What is added to the device's times since its clock was last taken to be reset."""
        return int(self._state[OFFSET])

    @property
    def counters(self) -> dict[str, int]:
        """What was dropped or repaired so far, by cause."""
        return {name: int(self._state[place]) for name, place in COUNTED.items()}

    def reconnected(self) -> None:
        """The device was opened anew: its clock may have started again."""
        self._state[FRESH] = 1

    def admit(self, events: EventArray, *, resume_us: int | None = None) -> EventArray:
        """The events that can be placed, with their times on this timeline.

        Args:
            events: EVENT_DTYPE, (n_events,), with the device's own times; not changed.
            resume_us: time has already been moved on to here without events; a clock that was
                reset goes on from here, if that is later than the newest event.
        """
        if not len(events):
            return events
        if resume_us is not None:
            self._state[RESUME] = resume_us
        admitted = np.array(events, order="C")  # one kind of array: the loop is compiled once
        n_admitted = _admit(
            admitted,
            self._sensor_size.width,
            self._sensor_size.height,
            self._is_short,
            self._max_gap_us,
            self._state,
        )
        return admitted[:n_admitted]

    def place(self, t_us: int) -> int | None:
        """A time that is not an event's, such as a promise of silence; None if it is no use."""
        if not self._state[STARTED]:
            return None if self._is_short else t_us
        if self._state[FRESH]:
            return None
        unwrapped = t_us
        if self._is_short:
            step = (t_us - int(self._state[RAW]) + _HALF) % _FULL - _HALF
            unwrapped = int(self._state[UNWRAPPED]) + step
        placed = unwrapped + int(self._state[OFFSET])
        ahead = placed - int(self._state[NEWEST])
        return placed if 0 <= ahead <= self._max_gap_us else None


def warm_up() -> None:
    """Compile, or load what was compiled: seconds in which a device would overflow."""
    Timeline(SensorSize(1, 1)).admit(empty_events(1))


@njit(nogil=True, cache=True)
def _admit(
    events: EventArray,
    width: int,
    height: int,
    is_short: bool,
    max_gap_us: int,
    state: npt.NDArray[np.int64],
) -> int:
    """Move those that are admitted to the front of ``events``; return how many they are."""
    n_admitted = 0
    for i in range(events.shape[0]):
        event = events[i]
        if event["x"] >= width or event["y"] >= height:
            state[OFF_SENSOR] += 1
            continue
        raw = event["t_us"]
        unwrapped = raw
        if is_short and state[STARTED]:
            unwrapped = state[UNWRAPPED] + (raw - state[RAW] + _HALF) % _FULL - _HALF
        verdict = _judge(unwrapped + state[OFFSET], max_gap_us, state)
        if verdict == _DROPPED:
            continue
        if verdict == _RESET:
            state[RESETS] += 1
            state[OFFSET] = max(state[NEWEST], state[RESUME]) - unwrapped
        elif is_short and state[STARTED] and raw < state[RAW] and unwrapped > state[UNWRAPPED]:
            state[WRAPS] += 1
        state[RAW], state[UNWRAPPED], state[NEWEST] = raw, unwrapped, unwrapped + state[OFFSET]
        state[STARTED], state[FRESH], state[RUN] = 1, 0, 0
        events[n_admitted] = event
        events[n_admitted]["t_us"] = state[NEWEST]
        n_admitted += 1
    return n_admitted


@njit(nogil=True, cache=True)
def _judge(time_us: int, max_gap_us: int, state: npt.NDArray[np.int64]) -> int:
    """What is to be done about an event of this time; those dropped are counted."""
    if not state[STARTED]:
        return _GOOD
    ahead_us = time_us - state[NEWEST]
    reached_us = max(state[NEWEST], state[RESUME])
    is_back = time_us < reached_us if state[FRESH] else ahead_us < 0
    if not is_back and time_us - reached_us <= max_gap_us:
        return _GOOD
    if state[FRESH]:
        return _RESET
    if -LATE_US <= ahead_us < 0:
        state[LATE] += 1
        return _DROPPED
    state[RUN] += 1
    if state[RUN] < JUMP_EVENTS:
        state[JUMP] += 1
        return _DROPPED
    return _RESET
