"""Compiled loops over AEDAT4: where packets lie, where the events in them lie, and their copy.

    packet   stream u32, size u32, what it holds (packed)
    events   a flatbuffer "EVTS" after its size (u32): a table whose first field is a vector of
             16-byte structs: t i64, x i16, y i16, polarity u8, 3 unused

``flatbuffer`` reads the same tables in Python and says what they look like.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.events import EventArray
from streamvdib.sources.lz4_kernel import Bytes, Integer, unpack_lz4

MAX_PACKET_BYTES = 1 << 28  # a longer one is none
PLAIN_BYTES = 1 << 22  # one that is longer when unpacked is unpacked by the library
EVENT = np.dtype(
    {
        "names": ["timestamp", "x", "y", "polarity"],
        "formats": ["<i8", "<i2", "<i2", "i1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": 16,
    }
)
OTHER_IDENTIFIER, OUTSIDE, TOO_MANY = -1, -2, -3
FAULTS = {
    OTHER_IDENTIFIER: "its identifier is not b'EVTS'",
    OUTSIDE: "a part of its table lies outside of it",
    TOO_MANY: "its vector of events does not fit into it",
}
"""What ``find_events`` gives instead of a place, and what it means."""


@njit(cache=True, nogil=True)
def _unsigned(data: Bytes, at: Integer, n_bytes: int) -> Integer:
    """A little-endian integer."""
    value: Integer = np.int64(0)
    for index in range(n_bytes - 1, -1, -1):
        value = (value << 8) | data[at + index]
    return value


@njit(cache=True, nogil=True)
def split_packets(
    data: Bytes, n_left: int, known: npt.NDArray[np.int64], wanted: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Find the whole packets of one stream.

    Args:
        data: begins with a packet, (n_bytes,).
        n_left: how many bytes there are from there to the end of packets.
        known: the file's streams, (n_streams,).
        wanted: the stream.

    Returns:
        Where what each packet holds begins, and its size, (n_packets, 2); and where the first
        packet begins that is not to be passed over: it is of no known stream, too long, not
        whole in ``n_left`` bytes, or, being of the stream, not whole in ``data``.
    """
    places = np.empty((len(data) // 8 + 1, 2), dtype=np.int64)
    n_found, at = 0, 0
    while at + 8 <= len(data):
        stream, size = _unsigned(data, at, 4), _unsigned(data, at + 4, 4)
        if size > MAX_PACKET_BYTES or at + 8 + size > n_left or not np.any(known == stream):
            break
        if stream == wanted:
            if at + 8 + size > len(data):
                break
            places[n_found, 0], places[n_found, 1] = at + 8, size
            n_found += 1
        at += 8 + int(size)
    return places[:n_found].copy(), at


@njit(cache=True, nogil=True)
def find_events(data: Bytes, start: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Where the events of an unpacked packet begin, or a key of ``FAULTS``; and how many they are.

    Args:
        data: the packet lies in it, (n_bytes,).
        start: where it begins.
        end: where it ends; before ``start`` if it could not be unpacked.
    """
    if end - start < 12:
        return OUTSIDE, 0
    if _unsigned(data, start + 8, 4) != 0x53545645:  # b"EVTS"
        return OTHER_IDENTIFIER, 0
    table = start + 4 + _unsigned(data, start + 4, 4)
    if table + 4 > end:
        return OUTSIDE, 0
    fields = table - np.int64(np.int32(_unsigned(data, table, 4)))
    if fields < start or fields + 2 > end:
        return OUTSIDE, 0
    if _unsigned(data, fields, 2) < 6:  # no field: no events
        return 0, 0
    if fields + 6 > end:
        return OUTSIDE, 0
    field = _unsigned(data, fields + 4, 2)
    if field == 0:
        return 0, 0
    if table + field + 4 > end:
        return OUTSIDE, 0
    vector = table + field + _unsigned(data, table + field, 4)
    if vector + 4 > end:
        return OUTSIDE, 0
    n_events = _unsigned(data, vector, 4)
    if vector + 4 + n_events * 16 > end:
        return TOO_MANY, 0
    return vector + 4, n_events


@njit(cache=True, nogil=True)
def read_events(
    data: Bytes,
    places: npt.NDArray[np.int64],
    first: int,
    is_packed: bool,
    plain: Bytes,
    events: EventArray,
    n_events: int,
    ends: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Read packets of events until one is not as it should be, or does not fit.

    Args:
        data: the packets lie in it, (n_bytes,).
        places: where what each holds begins, and its size, (n_packets, 2).
        first: the packet to begin with.
        is_packed: they are frames of LZ4.
        plain: room for one unpacked, (n_bytes,).
        events: filled, (n_events,).
        n_events: how many it holds already.
        ends: filled: how many it holds after each packet, (n_packets,).

    Returns:
        The first packet that was not read, and how many events there are then.
    """
    for index in range(first, len(places)):
        start, n_bytes = places[index, 0], places[index, 1]
        held = data
        if is_packed:
            n_bytes = unpack_lz4(data, start, start + n_bytes, plain)
            start, held = 0, plain
        at, n_found = find_events(held, start, start + n_bytes)
        if at < 0 or n_events + n_found > len(events):
            return index, n_events
        if n_found:
            _copy(held[at : at + n_found * 16].view(EVENT), events, n_events)
        n_events += int(n_found)
        ends[index] = n_events
    return len(places), n_events


@njit(cache=True, nogil=True)
def _copy(packet: npt.NDArray[np.void], events: EventArray, start: int) -> None:
    for index in range(len(packet)):
        event, found = events[start + index], packet[index]
        event["t_us"] = found["timestamp"]
        event["x"] = found["x"]
        event["y"] = found["y"]
        event["on"] = found["polarity"] != 0
