"""Compiled decoder of Event Stream bytes, versions 2.x, types dvs and atis.

    dvs    first byte: 0xFF: t += 127, 0xFE: nothing     else 7-1 t since the last, 0 is ON
    atis   first byte: 0xFC-0xFF: t += 63 * (bits 1-0)   else 7-2 t, 1 polarity, 0 exposure

then x and y, two bytes each, little-endian; y counts from below. Format: github.com/neuromorphs/
event_stream. ATIS exposure measurements are no changes of intensity and are skipped.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.events import EventArray

DVS, ATIS = 1, 2
EVENT_BYTES = 5
TIME, RESETS, EXPOSURES = 0, 1, 2
STATE_FIELDS = 3
"""Fields of a decoder's state, an int64 array; the last two are counters."""


@njit(cache=True, nogil=True)
def decode_es(
    data: npt.NDArray[np.uint8],
    start: int,
    kind: int,
    height: int,
    state: npt.NDArray[np.int64],
    events: EventArray,
    limit: int,
) -> tuple[int, int]:
    """Decode bytes to events.

    Args:
        data: (n_bytes,).
        start: the first to decode, where an event begins.
        kind: DVS or ATIS.
        height: rows of the sensor.
        state: (STATE_FIELDS,), changed.
        events: filled, (limit,) at least.
        limit: stop when so many events are there.

    Returns:
        How many events, and the first byte not decoded: of an incomplete event, or the end.
    """
    n_events, index = 0, start
    while index < len(data) and n_events < limit:
        first = np.int64(data[index])
        if kind == DVS and first >= 0xFE:
            state[TIME] += 127 if first == 0xFF else 0
            state[RESETS] += first == 0xFE
            index += 1
            continue
        if kind == ATIS and first >= 0xFC:
            state[TIME] += 63 * (first & 3)
            state[RESETS] += first == 0xFC
            index += 1
            continue
        if index + EVENT_BYTES > len(data):
            break
        state[TIME] += first >> (1 if kind == DVS else 2)
        if kind == ATIS and first & 1:
            state[EXPOSURES] += 1
        else:
            event = events[n_events]
            event["t_us"] = state[TIME]
            event["x"] = data[index + 1] | (np.int64(data[index + 2]) << 8)
            event["y"] = height - 1 - (data[index + 3] | (np.int64(data[index + 4]) << 8))
            event["on"] = (first & 1) if kind == DVS else (first & 2)
            n_events += 1
        index += EVENT_BYTES
    return n_events, index
