"""Prophesee RAW, EVT 3.0: 16-bit words, of which the upper four bits say what they are.

Times have 24 bits, in two words; every quarter of a turn is written, so that no gap hides a
rollover. Format: docs.prophesee.ai, "EVT 3.0".
"""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.events import EventArray, EventPacket, SensorSize

from .encoder import check_fits, check_times

LARGEST = SensorSize(2048, 2048)
LARGEST_US = 86_400_000_000  # a day of silence is 41 kB of time words
ADDRESS_Y, ADDRESS_X, TIME_LOW, TIME_HIGH = 0x0 << 12, 0x2 << 12, 0x6 << 12, 0x8 << 12
QUARTER_TURN = 0x400  # of the 12 bits of TIME_HIGH


class Encoder:
    """RAW files with EVT3 words, one address word per event."""

    def __init__(self, sensor_size: SensorSize) -> None:
        check_fits(sensor_size, LARGEST, "EVT3")
        self._sensor_size = sensor_size
        # The upper time (all of its bits), the lower one and the row that were written last.
        self._state = np.array([0, -1, -1], dtype=np.int64)

    def header(self) -> bytes:
        """Text lines that begin with %, then the first time word."""
        width, height = self._sensor_size
        lines = (
            "% evt 3.0",
            f"% format EVT3;height={height};width={width}",
            f"% geometry {width}x{height}",
            "% end",
        )
        return "".join(f"{line}\n" for line in lines).encode() + TIME_HIGH.to_bytes(2, "little")

    def encode(self, packet: EventPacket) -> bytes:
        """Words of the events; times and rows only where they change."""
        events = packet.events
        if not len(events):
            return b""
        check_times(events, LARGEST_US, "EVT3")
        turns = ((int(events["t_us"][-1]) >> 12) - int(self._state[0])) // QUARTER_TURN
        words = np.empty(4 * len(events) + turns, dtype="<u2")
        n_words = _encode(np.ascontiguousarray(events), self._state, words)
        return words[:n_words].tobytes()

    def finish(self, file: BinaryIO) -> None:
        """Nothing is missing."""


@njit(nogil=True, cache=True)
def _encode(
    events: EventArray,
    state: npt.NDArray[np.int64],
    words: npt.NDArray[np.uint16],
) -> int:
    n = 0
    for i in range(events.shape[0]):
        event = events[i]
        high, low = event["t_us"] >> 12, event["t_us"] & 0xFFF
        if high != state[0]:
            while high - state[0] > QUARTER_TURN:
                state[0] += QUARTER_TURN
                words[n] = TIME_HIGH | (state[0] & 0xFFF)
                n += 1
            words[n] = TIME_HIGH | (high & 0xFFF)
            n += 1
            state[0], state[1] = high, -1
        if low != state[1]:
            words[n] = TIME_LOW | low
            n += 1
            state[1] = low
        if event["y"] != state[2]:
            words[n] = ADDRESS_Y | event["y"]
            n += 1
            state[2] = event["y"]
        words[n] = ADDRESS_X | (np.int64(event["on"]) << 11) | event["x"]
        n += 1
    return n
