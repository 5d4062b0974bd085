"""Blocks of events and the frames between them, out of the packets of an AEDAT4 file.

Packets that are as they should be are unpacked and read by compiled code, all of a piece of the
file at once. One that stops it (another kind of LZ4 frame, ZSTD, more events than there is room
for, or damage) is unpacked by its library, which also says what is wrong with it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from streamvdib.errors import RecordingError, TruncatedRecordingError
from streamvdib.events import EVENT_DTYPE, EventArray, TimedImage, empty_events
from streamvdib.sources.aedat4_container import (
    LZ4,
    NOT_PACKED,
    Chunk,
    Container,
    Stream,
    chunks,
)
from streamvdib.sources.aedat4_kernels import FAULTS, PLAIN_BYTES, find_events, read_events
from streamvdib.sources.lz4_kernel import Bytes
from streamvdib.sources.policy import Block, block_locator
from streamvdib.sources.reading import REMEDY, count

BLOCK_EVENTS = 1 << 14
_NOTHING: Final[Bytes] = np.empty(0, np.uint8)


@dataclass(frozen=True)
class Packets:
    """What is read of a file.

    Args:
        plain: the file, not packed with gzip.
        name: of the recording, for messages.
        lenient: count what is damaged, and go on.
        container: its header.
        events: the stream of events.
        frames: the stream of frames, if they are wanted.
        decode: the module ``aedat4_packets``, which needs packages that may be absent.
    """

    plain: Path
    name: str
    lenient: bool
    container: Container
    events: Stream
    frames: Stream | None
    decode: Any

    def damaged(self, offset: int, fault: object, counters: dict[str, int]) -> None:
        """Count that a packet is damaged.

        Raises:
            RecordingError: instead, unless ``lenient``.
        """
        if not self.lenient:
            raise RecordingError(
                f"{self.name}, byte {offset}: a packet must be whole; {fault}. {REMEDY}, which "
                "leaves it out and counts it."
            )
        count(counters, "damaged_packets", 1)


def read_blocks(file: Packets, counters: dict[str, int]) -> Iterator[Block]:
    """Blocks of events, each with the frames until its last event."""
    frames = _Frames(file, counters)
    reader = _EventReader(file, counters)
    with file.plain.open("rb", buffering=0) as data:
        for chunk in chunks(data, file.container, file.events.number):
            for block in reader.read(chunk):
                last_us = int(block.events[-1]["t_us"])
                yield Block(block.events, block.locate, frames.until(last_us))
    yield Block(empty_events(), block_locator("the end"), frames.until(None))
    end = chunk.end
    assert end is not None  # of the last piece
    if end.fault and not file.lenient:
        raise TruncatedRecordingError(
            f"{file.name}, byte {end.offset}: packets must be whole up to the table of packets; "
            f"{end.fault}. {REMEDY}, which drops the rest and counts it."
        )
    count(counters, "truncated_bytes", end.n_bytes_left)


class _EventReader:
    """Events of one piece of the file after the other. Memory: a block, and a packet unpacked."""

    def __init__(self, file: Packets, counters: dict[str, int]) -> None:
        compression = file.container.compression
        self._file = file
        self._counters = counters
        self._is_packed = compression in LZ4
        self._is_compiled = self._is_packed or compression == NOT_PACKED
        self._plain = np.empty(PLAIN_BYTES if self._is_packed else 0, np.uint8)
        self._unpack: Any = None  # made when it is first needed

    def read(self, chunk: Chunk) -> Iterator[Block]:
        """Blocks that are not empty.

        Raises:
            RecordingError: a packet is damaged, after all that come before it; unless ``lenient``.
        """
        filling, index = _Filling(chunk, 0, BLOCK_EVENTS), 0
        while True:
            if self._is_compiled:
                index = filling.read(index, self._is_packed, self._plain)
            if index == len(chunk.places):
                break
            packet, fault = self._unpacked(chunk, index)
            n_events = int(find_events(packet, 0, len(packet))[1])
            if (fault and not self._file.lenient) or not filling.has_room_for(n_events):
                yield from filling.blocks(index)
                filling = _Filling(chunk, index, max(BLOCK_EVENTS, n_events))
            if fault:
                self._file.damaged(chunk.offset_of(index), fault, self._counters)
            filling.add(index, packet)
            index += 1
        yield from filling.blocks(index)

    def _unpacked(self, chunk: Chunk, index: int) -> tuple[Bytes, str]:
        """What a packet holds, by its library, and "", or nothing and what is wrong with it."""
        if self._unpack is None:
            compression = self._file.container.compression
            self._unpack = self._file.decode.unpacker(compression, self._file.name)
        try:
            packet: Bytes = self._unpack(chunk.data, *chunk.places[index].tolist())
        except ValueError as error:
            return _NOTHING, str(error)
        at, _ = find_events(packet, 0, len(packet))
        return (_NOTHING, FAULTS[int(at)]) if at < 0 else (packet, "")


class _Filling:
    """A block that is being filled from a piece of the file, from its packet ``first`` on."""

    def __init__(self, chunk: Chunk, first: int, n_events: int) -> None:
        self._chunk = chunk
        self._first = first
        self._events: EventArray = np.empty(n_events, dtype=EVENT_DTYPE)
        self._n_events = 0
        self._ends = np.empty(len(chunk.places), np.int64)

    def has_room_for(self, n_events: int) -> bool:
        """Whether so many more fit in."""
        return self._n_events + n_events <= len(self._events)

    def read(self, index: int, is_packed: bool, plain: Bytes) -> int:
        """Read packets from ``index`` on; the first that was not read."""
        chunk = self._chunk
        index, self._n_events = read_events(
            chunk.data,
            chunk.places,
            index,
            is_packed,
            plain,
            self._events,
            self._n_events,
            self._ends,
        )
        return index

    def add(self, index: int, packet: Bytes) -> None:
        """Read a packet that is unpacked; one that is empty holds no events."""
        place = np.array([[0, len(packet)]])
        ends = self._ends[index : index + 1]
        ends[0] = self._n_events
        _, self._n_events = read_events(
            packet, place, 0, False, packet, self._events, self._n_events, ends
        )

    def blocks(self, end: int) -> Iterator[Block]:
        """The block, unless it is empty, of the packets before ``end``."""
        chunk, first, ends = self._chunk, self._first, self._ends[self._first : end]

        def locate(index: int) -> str:
            packet = first + int(np.searchsorted(ends, index, side="right"))
            return f"byte {chunk.offset_of(packet)}"

        if self._n_events:
            yield Block(self._events[: self._n_events], locate)


class _Frames:
    """Frames in the order of the file, one read ahead, by a second look at the file."""

    def __init__(self, file: Packets, counters: dict[str, int]) -> None:
        self._counters = counters
        self._images: Iterator[TimedImage | None] = iter(())
        if file.frames is not None:
            self._images = _images(file, file.frames, counters)
        self._next = self._read()

    def _read(self) -> TimedImage | None:
        for image in self._images:
            if image is not None:
                return image
            count(self._counters, "frames_not_read", 1)
        return None

    def until(self, t_us: int | None) -> Iterator[TimedImage]:
        """Frames not later than ``t_us``; all for None. Read as they are asked for."""
        while (image := self._next) is not None and (t_us is None or image.t_us <= t_us):
            self._next = None  # one at a time in memory: they are large
            yield image
            del image
            self._next = self._read()


def _images(file: Packets, frames: Stream, counters: dict[str, int]) -> Iterator[TimedImage | None]:
    """The frames of a file; None in place of one that cannot be shown."""
    unpack = file.decode.unpacker(file.container.compression, file.name)
    with file.plain.open("rb", buffering=0) as data:
        for chunk in chunks(data, file.container, frames.number):
            for index, (at, size) in enumerate(chunk.places.tolist()):
                try:
                    image: TimedImage | None = file.decode.image_of(unpack(chunk.data, at, size))
                except (ValueError, struct.error) as error:
                    file.damaged(chunk.offset_of(index), error, counters)
                    continue
                yield image
