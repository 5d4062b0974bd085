"""Event words in datagrams: SPIF as aestream sends it, and the two layouts of faery.

SPIF (SpiNNaker peripheral interface), little-endian 32-bit words: bit 31 is set if no time
follows, bits 30-16 are x, bit 15 is the polarity (set is ON), bits 14-0 are y. With bit 31 clear
the next word is the time in microseconds, modulo 2^32. Checked against aestream 0.6.4, whose
words these are with ``--include-timestamp true``; by default it sends no times.

faery: ``t64_x16_y16_on8`` is 13 bytes an event, ``t32_x16_y15_on1`` is 8 bytes, also
little-endian, the polarity in bit 0 of the last word.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.events import EVENT_DTYPE, EventArray, empty_events

LAYOUT_TIME_BITS = {"spif": 32, "faery64": 64, "faery32": 32}
"""Layout -> how many bits its times have."""

WORD_BYTES = {"spif": 4, "faery64": 13, "faery32": 8}
"""Layout -> the size that the length of a datagram must be a multiple of."""

_FAERY32 = np.dtype([("t_us", "<u4"), ("x", "<u2"), ("y_on", "<u2")])


def decode_spif(
    words: npt.NDArray[np.uint32],
    starts: npt.NDArray[np.int64],
    stops: npt.NDArray[np.int64],
    arrived_us: int,
) -> tuple[EventArray, int, int]:
    """Words of several datagrams as events.

    Args:
        words: (n_words,).
        starts: where each datagram begins in ``words``, (n_datagrams,).
        stops: where each ends, (n_datagrams,).
        arrived_us: the time of events that bring none, modulo 2^32.

    Returns:
        The events, how many of them brought no time, and how many datagrams ended in the middle
        of an event.
    """
    events = empty_events(int((stops - starts).sum()))
    n_events, n_untimed, n_cut = _decode_spif(words, starts, stops, arrived_us & 0xFFFFFFFF, events)
    return events[:n_events], n_untimed, n_cut


@njit(nogil=True, cache=True)
def _decode_spif(
    words: npt.NDArray[np.uint32],
    starts: npt.NDArray[np.int64],
    stops: npt.NDArray[np.int64],
    arrived_us: int,
    events: EventArray,
) -> tuple[int, int, int]:
    n_events = n_untimed = n_cut = 0
    for k in range(starts.shape[0]):
        i = starts[k]
        while i < stops[k]:
            word = np.int64(words[i])
            event = events[n_events]
            if word >> 31:
                event["t_us"] = arrived_us
                n_untimed += 1
                i += 1
            elif i + 1 < stops[k]:
                event["t_us"] = words[i + 1]
                i += 2
            else:
                n_cut += 1
                break
            event["x"] = (word >> 16) & 0x7FFF
            event["y"] = word & 0x7FFF
            event["on"] = (word >> 15) & 1 == 1
            n_events += 1
    return n_events, n_untimed, n_cut


def decode_faery(payload: bytes | memoryview, layout: str) -> EventArray:
    """Events of one of faery's layouts; bytes beyond the last whole event are ignored."""
    n_events = len(payload) // WORD_BYTES[layout]
    if layout == "faery64":
        octets = np.frombuffer(payload, dtype=np.uint8, count=13 * n_events).reshape(-1, 13).copy()
        octets[:, 12] = octets[:, 12] != 0  # any other byte is no valid boolean
        return octets.reshape(-1).view(EVENT_DTYPE)
    packed = np.frombuffer(payload, dtype=_FAERY32, count=n_events)
    events = empty_events(n_events)
    events["t_us"], events["x"] = packed["t_us"], packed["x"]
    events["y"], events["on"] = packed["y_on"] >> 1, packed["y_on"] & 1
    return events


def encode_spif(events: EventArray, *, with_times: bool = True) -> npt.NDArray[np.uint32]:
    """Events as words, (2 * n_events,) with times and (n_events,) without."""
    coordinates = (
        ((events["x"].astype(np.uint32) & 0x7FFF) << 16)
        | (events["on"].astype(np.uint32) << 15)
        | (events["y"].astype(np.uint32) & 0x7FFF)
    )
    if not with_times:
        return np.asarray(coordinates | np.uint32(1 << 31), dtype="<u4")
    words = np.empty(2 * len(events), dtype="<u4")
    words[0::2] = coordinates
    words[1::2] = events["t_us"] & 0xFFFFFFFF
    return words
