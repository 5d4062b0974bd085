"""Compiled decoders of Prophesee's EVT2, EVT2.1 and EVT3 words.

    EVT2    32 bits   31-28 type   27-22 t low 6   21-11 x   10-0 y
    EVT2.1  64 bits   63-60 type   59-54 t low 6   53-43 x of the first   42-32 y   31-0 mask
    EVT3    16 bits   15-12 type   11-0 payload; row, column, time and polarity are remembered

Time in EVT2 and 2.1 has 34 bits, 28 of them from the last TIME_HIGH word; in EVT3 24 bits, from
TIME_HIGH and TIME_LOW. Both start again from zero (after 4.8 hours, after 16.8 s); a drop by
more than half the range is taken as that. Events before the first TIME_HIGH have no time and
are skipped. Format: docs.prophesee.ai, "Data encoding formats".

A decoder stops when ``limit`` events are there, so that the word of an event can be found again
by decoding once more from the same state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.events import EventArray

HAS_TIME, HIGH, LOW, LOOPS, ROW, BASE_COLUMN, POLARITY = 0, 1, 2, 3, 4, 5, 6
TIMELESS, TRIGGERS, OTHER_WORDS, UNKNOWN_WORDS = 7, 8, 9, 10
STATE_FIELDS = 11
"""Fields of a decoder's state, an int64 array; the last four are counters."""

MOST_EVENTS_OF_A_WORD = 32

Integer = int | np.integer[Any]
Decode = Callable[[npt.NDArray[Any], int, npt.NDArray[np.int64], EventArray, int], tuple[int, int]]
"""Decodes words, (n_words,), from the first to decode on.

The state, (STATE_FIELDS,), is changed; events, (limit + MOST_EVENTS_OF_A_WORD,) at least, are
filled; it stops when ``limit`` of them are there. It gives how many events there are, and the
first word not decoded.
"""


@njit(cache=True, nogil=True)
def _set_high(state: npt.NDArray[np.int64], high: Integer, bits: int) -> None:
    """Remember the high part of the time; count a loop if it started again."""
    if state[HAS_TIME] and state[HIGH] - high > 1 << (bits - 1):
        state[LOOPS] += 1
    state[HIGH] = high
    state[HAS_TIME] = 1


@njit(cache=True, nogil=True)
def _other(state: npt.NDArray[np.int64], kind: Integer) -> None:
    """Count a word of EVT2 or 2.1 that is neither event nor time."""
    if kind == 0xA:
        state[TRIGGERS] += 1
    elif kind == 0xE or kind == 0xF:
        state[OTHER_WORDS] += 1
    else:
        state[UNKNOWN_WORDS] += 1


@njit(cache=True, nogil=True)
def _emit(
    events: EventArray, n_events: Integer, t_us: Integer, column: Integer, row: Integer, on: Integer
) -> None:
    """Write one event to the place of index ``n_events``."""
    event = events[n_events]
    event["t_us"] = t_us
    event["x"] = column
    event["y"] = row
    event["on"] = on != 0


def _decoder_of_masks(word_bits: int) -> Decode:
    """A decoder of EVT2 (32 bits) or EVT2.1 (64): a word of EVT2 is the upper half of one.

    The size is a constant to the compiler, which takes out of the loop what the other one needs.
    """
    is_vector = word_bits == 64

    @njit(cache=True, nogil=True)
    def decode(
        words: npt.NDArray[np.unsignedinteger[Any]],
        start: int,
        state: npt.NDArray[np.int64],
        events: EventArray,
        limit: int,
    ) -> tuple[int, int]:
        base_us, has_time = (state[LOOPS] << 34) | (state[HIGH] << 6), state[HAS_TIME]
        n_events, index = np.uint64(0), np.uint64(start)
        n_words, most, one = np.uint64(len(words)), np.uint64(limit), np.uint64(1)
        n_timeless = 0
        while index < n_words and n_events < most:
            word = np.int64(words[index] >> np.uint64(32) if is_vector else words[index])
            mask = np.int64(words[index] & np.uint64(0xFFFFFFFF) if is_vector else 1)
            index += one
            kind = word >> 28
            if kind <= 1:
                t_us = base_us | ((word >> 22) & 0x3F)
                x, y = (word >> 11) & 0x7FF, word & 0x7FF
                while mask:
                    if mask & 1:
                        _emit(events, n_events, t_us, x, y, kind)
                        n_events += np.uint64(has_time)
                        n_timeless += 1 - has_time
                    mask >>= 1
                    x += 1
            elif kind == 8:
                _set_high(state, word & 0xFFFFFFF, 28)
                base_us, has_time = (state[LOOPS] << 34) | (state[HIGH] << 6), 1
            else:
                _other(state, kind)
        state[TIMELESS] += n_timeless
        return int(n_events), int(index)

    return decode


decode_evt2 = _decoder_of_masks(32)
decode_evt21 = _decoder_of_masks(64)


@njit(cache=True, nogil=True)
def decode_evt3(
    words: npt.NDArray[np.uint16],
    start: int,
    state: npt.NDArray[np.int64],
    events: EventArray,
    limit: int,
) -> tuple[int, int]:
    """Decode EVT3; arguments and result as of ``Decode``.

    What most words change is kept in local variables, hence in registers, until the end; unsigned
    indices spare a test for negative ones. Both count: this is the slowest decoder.
    """
    has_time, row, base, polarity = state[HAS_TIME], state[ROW], state[BASE_COLUMN], state[POLARITY]
    t_us = (state[LOOPS] << 24) | (state[HIGH] << 12) | state[LOW]
    n_events, index = np.uint64(0), np.uint64(start)
    n_words, most, one = np.uint64(len(words)), np.uint64(limit), np.uint64(1)
    n_other, n_timeless = 0, 0
    while index < n_words and n_events < most:
        word = np.uint32(words[index])
        index += one
        kind, payload = word >> np.uint32(12), np.int64(word & np.uint32(0xFFF))
        if kind == 0x2:
            polarity = payload >> 11
            _emit(events, n_events, t_us, payload & 0x7FF, row, polarity)
            n_events += np.uint64(has_time)
            n_timeless += 1 - has_time
        elif kind == 0x0:
            row = payload & 0x7FF
        elif kind == 0x6:
            t_us = (t_us & ~0xFFF) | payload
        elif kind == 0x7 or kind >= 0xE:
            n_other += 1
        elif kind == 0x3:
            polarity = payload >> 11
            base = payload & 0x7FF
        elif kind == 0x4 or kind == 0x5:
            mask = payload if kind == 0x4 else payload & 0xFF
            column = base
            while mask:
                if mask & 1:
                    _emit(events, n_events, t_us, column, row, polarity)
                    n_events += np.uint64(has_time)
                    n_timeless += 1 - has_time
                mask >>= 1
                column += 1
            base += 12 if kind == 0x4 else 8
        elif kind == 0x8:
            state[LOW] = t_us & 0xFFF if payload == state[HIGH] else 0  # else it would be late
            _set_high(state, payload, 12)
            has_time = 1
            t_us = (state[LOOPS] << 24) | (state[HIGH] << 12) | state[LOW]
        elif kind == 0xA:
            state[TRIGGERS] += 1
        else:
            state[UNKNOWN_WORDS] += 1
    state[LOW], state[ROW], state[BASE_COLUMN], state[POLARITY] = t_us & 0xFFF, row, base, polarity
    state[OTHER_WORDS] += n_other
    state[TIMELESS] += n_timeless
    return int(n_events), int(index)
