"""Formats that can be read from a pipe as the bytes come.

Text (as aestream and faery print it), Event Stream, Prophesee RAW (EVT2, EVT2.1, EVT3) and this
project's own container. A decoder takes bytes in any pieces and gives the events that are
complete; what is malformed is counted and passed over.
"""

from __future__ import annotations

import zlib
from typing import Protocol

import numpy as np

from streamvdib.events import EVENT_DTYPE, EventArray, SensorSize, empty_events
from streamvdib.sources import svr
from streamvdib.sources.es_kernels import EVENT_BYTES, STATE_FIELDS, TIME, decode_es
from streamvdib.sources.evt_decoder import ENCODINGS, EvtDecoder, halves_are_swapped
from streamvdib.sources.text_kernel import parse_lines
from streamvdib.sources.text_layout import TextLayout

MAX_LINE_BYTES = 1 << 12


class ByteDecoder(Protocol):
    """Bytes in, events out; remembers the incomplete event at the end."""

    sensor_size: SensorSize | None  # None: the format does not tell
    rest: bytes  # the beginning of an event that is not complete
    end_us: int | None  # up to which nothing more will come, if the format says so

    @property
    def n_malformed(self) -> int:
        """Lines, words or chunks passed over."""

    def decode(self, data: bytes) -> EventArray:
        """Events that ``data`` completes."""


class TextDecoder:
    """Lines of text. Memory: one line."""

    def __init__(self, layout: TextLayout, sensor_size: SensorSize | None) -> None:
        self.sensor_size = sensor_size
        self.n_malformed = 0
        self.rest = b""
        self.end_us: int | None = None
        self._layout = layout

    def decode(self, data: bytes) -> EventArray:
        """Events of whole lines."""
        data = self.rest + data
        end = data.rfind(b"\n") + 1
        self.rest = data[end:]
        if len(self.rest) > MAX_LINE_BYTES:
            self.n_malformed += 1
            self.rest = b""
        n_lines = data.count(b"\n")
        events = empty_events(n_lines)
        n_events, n_bad, _, _ = parse_lines(
            np.frombuffer(data, np.uint8, end),
            self._layout.columns,
            self._layout.scale,
            events,
            np.empty(n_lines, dtype=np.int64),
            True,
        )
        self.n_malformed += n_bad
        return events[:n_events]


class EventStreamDecoder:
    """Event Stream 2, types dvs and atis. Memory: four bytes and the time."""

    def __init__(self, sensor_size: SensorSize, kind: int) -> None:
        self.sensor_size: SensorSize | None = sensor_size
        self.n_malformed = 0
        self.rest = b""
        self.end_us: int | None = None
        self._kind = kind
        self._height = sensor_size.height
        self._state = np.zeros(STATE_FIELDS, dtype=np.int64)

    def decode(self, data: bytes) -> EventArray:
        """Events of five bytes."""
        octets = np.frombuffer(self.rest + data, np.uint8)
        events = empty_events(len(octets) // EVENT_BYTES + 1)
        n_events, n_used = decode_es(
            octets, 0, self._kind, self._height, self._state, events, len(events)
        )
        self.rest = octets[n_used:].tobytes()
        self.end_us = int(self._state[TIME])
        return events[:n_events]


class EvtWordsDecoder:
    """EVT2, EVT2.1 and EVT3. Memory: a word and the decoder's state."""

    def __init__(self, encoding: str, sensor_size: SensorSize | None) -> None:
        self.sensor_size = sensor_size
        self.rest = b""
        self.end_us: int | None = None
        self._encoding = encoding
        self._counters: dict[str, int] = {}
        self._decoder: EvtDecoder | None = None

    @property
    def n_malformed(self) -> int:
        """Words that are none, and events before the first time."""
        return sum(self._counters.get(name, 0) for name in ("unknown_words", "events_before_time"))

    def decode(self, data: bytes) -> EventArray:
        """Events of the whole words."""
        data = self.rest + data
        n_bytes = len(data) - len(data) % ENCODINGS[self._encoding].word_bytes
        self.rest = data[n_bytes:]
        whole = data[:n_bytes]
        if self._decoder is None:
            swapped = self._encoding == "evt21" and halves_are_swapped(whole)
            self._decoder = EvtDecoder(self._encoding, self._counters, swapped=swapped)
        return np.concatenate(
            [empty_events(), *(block.events for block in self._decoder.decode(whole))]
        )


class SvrDecoder:
    """This project's own container. Memory: one chunk, at most 55 MB."""

    def __init__(self, sensor_size: SensorSize) -> None:
        self.sensor_size: SensorSize | None = sensor_size
        self.n_malformed = 0
        self.rest = b""
        self.end_us: int | None = None

    def decode(self, data: bytes) -> EventArray:
        """Events of whole chunks; a damaged one is passed over."""
        data = self.rest + data
        found, at = [empty_events()], 0
        while at + svr.CHUNK_HEAD.size <= len(data):
            magic, n_events, end_us, checksum = svr.CHUNK_HEAD.unpack_from(data, at)
            if magic != svr.CHUNK_MAGIC or n_events > svr.MAX_CHUNK_EVENTS:
                self.n_malformed += 1
                following = data.find(svr.CHUNK_MAGIC, at + 1)
                at = following if following >= 0 else len(data)
                continue
            start = at + svr.CHUNK_HEAD.size
            stop = start + n_events * EVENT_DTYPE.itemsize
            if stop > len(data):
                break
            if zlib.crc32(data[start:stop]) == checksum:
                found.append(np.frombuffer(data[start:stop], dtype=EVENT_DTYPE))
                self.end_us = end_us
            else:
                self.n_malformed += 1
            at = stop
        self.rest = data[at:]
        return np.concatenate(found)
