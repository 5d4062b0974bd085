"""Bytes of Prophesee's EVT2, EVT2.1 or EVT3 to events, for files, bags and streams alike.

Memory: the words of one chunk and ``BLOCK_EVENTS`` events.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from streamvdib.events import EVENT_DTYPE, empty_events
from streamvdib.sources.evt_kernels import (
    LOOPS,
    MOST_EVENTS_OF_A_WORD,
    OTHER_WORDS,
    STATE_FIELDS,
    TIMELESS,
    TRIGGERS,
    UNKNOWN_WORDS,
    Decode,
    decode_evt2,
    decode_evt3,
    decode_evt21,
)
from streamvdib.sources.policy import Block, Locator
from streamvdib.sources.reading import count

BLOCK_EVENTS = 1 << 16
_COUNTED = {
    LOOPS: "wraps",
    TIMELESS: "events_before_time",
    TRIGGERS: "triggers",
    OTHER_WORDS: "other_words",
    UNKNOWN_WORDS: "unknown_words",
}


class Encoding(NamedTuple):
    """One encoding: its words and the kernel that decodes them."""

    word: str  # a numpy dtype
    decode: Decode

    @property
    def word_bytes(self) -> int:
        """The size of a word."""
        return np.dtype(self.word).itemsize


ENCODINGS = {
    "evt2": Encoding("<u4", decode_evt2),
    "evt21": Encoding("<u8", decode_evt21),
    "evt3": Encoding("<u2", decode_evt3),
}


class EvtDecoder:
    """Remembers, between chunks, what the words before said.

    Args:
        encoding: a key of ``ENCODINGS``.
        counters: ``wraps``, ``triggers``, ``other_words``, ``unknown_words`` and
            ``events_before_time`` are raised.
        swapped: the halves of EVT2.1's words are exchanged, as the IMX636 sends them.
    """

    def __init__(
        self, encoding: str, counters: MutableMapping[str, int], *, swapped: bool = False
    ) -> None:
        self._encoding = ENCODINGS[encoding]
        self._counters = counters
        self._swapped = swapped
        self._state = np.zeros(STATE_FIELDS, dtype=np.int64)

    @property
    def word_bytes(self) -> int:
        """Chunks must hold a multiple of so many bytes."""
        return self._encoding.word_bytes

    def decode(self, data: bytes, offset: int = 0) -> Iterator[Block]:
        """Blocks of events of whole words.

        Args:
            data: a multiple of ``word_bytes``.
            offset: where they begin in the recording.
        """
        words = np.frombuffer(data, self._encoding.word)
        if self._swapped:
            words = (words << np.uint64(32)) | (words >> np.uint64(32))
        start = 0
        while start < len(words):
            before = self._state.copy()
            events = np.empty(BLOCK_EVENTS + MOST_EVENTS_OF_A_WORD, dtype=EVENT_DTYPE)
            n_events, end = self._encoding.decode(words, start, self._state, events, BLOCK_EVENTS)
            self._count(before)
            yield Block(events[:n_events], self._locator(words, start, before, offset))
            start = end

    def _locator(
        self, words: npt.NDArray[Any], start: int, state: npt.NDArray[np.int64], offset: int
    ) -> Locator:
        """Decodes once more, up to the event that is asked for."""

        def locate(index: int) -> str:
            events = empty_events(index + 1 + MOST_EVENTS_OF_A_WORD)
            _, end = self._encoding.decode(words, start, state.copy(), events, index + 1)
            return f"byte {offset + (int(end) - 1) * self.word_bytes}"

        return locate

    def _count(self, before: npt.NDArray[np.int64]) -> None:
        for field, cause in _COUNTED.items():
            count(self._counters, cause, int(self._state[field] - before[field]))


def halves_are_swapped(data: bytes) -> bool:
    """Whether EVT2.1 words look as the IMX636 sends them: the upper half of a word first.

    Args:
        data: whole words.
    """
    words = np.frombuffer(data, "<u8")
    as_is, swapped = _n_time_words(words >> np.uint64(32)), _n_time_words(words)
    return swapped > as_is


def _n_time_words(halves: npt.NDArray[np.uint64]) -> int:
    """How many upper halves are TIME_HIGH and later than the one before by little."""
    halves = halves & np.uint64(0xFFFFFFFF)
    times = (halves[halves >> np.uint64(28) == 8] & np.uint64(0xFFFFFFF)).astype(np.int64)
    steps = np.diff(times)
    return int(np.count_nonzero((steps >= 0) & (steps < 1 << 14))) + (len(times) > 0)
