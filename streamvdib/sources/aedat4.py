"""AEDAT4, as written by iniVation's DV: events and APS frames; IMU and triggers are passed over.

Events are those of the camera that the option ``camera`` names, or of the first one: of its
stream called "events", or of its first stream of events. Frames of the same camera come with the
middle of their exposure, colour ones turned to grey.

A file that was never closed, as by a crash while recording, is read to its last whole packet.
What follows that is an error, or, with ``lenient``, counted as ``truncated_bytes``; a packet that
is damaged likewise, as ``damaged_packets``. Memory: one block of events, one frame.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from streamvdib.errors import (
    ConfigurationError,
    MissingExtraError,
    RecordingError,
    TruncatedRecordingError,
)
from streamvdib.events import EVENT_DTYPE, EventArray, SensorSize, TimedImage, empty_events
from streamvdib.sources.aedat4_container import (
    MAGIC,
    Container,
    End,
    Stream,
    packets,
    read_container,
)
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block, block_locator
from streamvdib.sources.reading import REMEDY, count
from streamvdib.sources.record_kernels import copy_aedat4
from streamvdib.sources.recording import Recording
from streamvdib.sources.sensor_sizes import smallest_known
from streamvdib.sources.unpacked import plain_file

BLOCK_EVENTS = 1 << 15

T = TypeVar("T")


def recognises(head: bytes, path: Path) -> bool:
    """Whether the file says that it is AEDAT 4."""
    del path
    return head.startswith(MAGIC)


def open_recording(path: Path, options: ReadOptions) -> Recording:
    """Open an AEDAT4 file.

    Options: ``camera`` (its name in the file).

    Raises:
        MissingExtraError: the package that unpacks it is not installed.
    """
    options.only("camera")
    try:
        from streamvdib.sources import aedat4_packets as decode
    except ImportError as error:
        raise MissingExtraError(f"{path}: AEDAT4", extra="aedat4", missing="lz4") from error
    with plain_file(path, lenient=options.lenient) as plain:
        container = read_container(plain, str(path))
        events, frames = _choose(container, options, path)
        first = _File(plain, str(path), options.lenient, container, events, frames, decode)
        size = options.sensor_size or events.size or _infer_sensor_size(first)

    def read_blocks(counters: dict[str, int]) -> Iterator[Block]:
        with plain_file(path, lenient=options.lenient) as plain:
            yield from _read_blocks(replace(first, plain=plain), counters)

    return Recording(path, "AEDAT4", size, read_blocks, options)


@dataclass(frozen=True)
class _File:
    """What is read of a file."""

    plain: Path
    name: str
    lenient: bool
    container: Container
    events: Stream
    frames: Stream | None
    decode: Any  # the module ``aedat4_packets``, which needs packages that may be absent

    def damaged(self, offset: int, error: Exception, counters: dict[str, int]) -> None:
        """Say that a packet is damaged, or count it."""
        if not self.lenient:
            raise RecordingError(
                f"{self.name}, byte {offset}: a packet must be whole; {error}. {REMEDY}, which "
                "leaves it out and counts it."
            ) from error
        count(counters, "damaged_packets", 1)


def _choose(container: Container, options: ReadOptions, path: Path) -> tuple[Stream, Stream | None]:
    """The streams of events and of frames that are read."""
    streams = [stream for stream in container.streams if stream.kind == "EVTS"]
    if not streams:
        held = ", ".join(stream.name or stream.kind for stream in container.streams)
        raise RecordingError(
            f"{path}: must hold an event stream; it holds {held or 'none'}. Record events too."
        )
    camera = str(options.format_options.get("camera", streams[0].camera))
    cameras = sorted({stream.camera for stream in streams})
    if camera not in cameras:
        raise ConfigurationError(
            f"{path}: camera must be one of {', '.join(cameras)}; got {camera}"
        )
    events = _first_named("events", [stream for stream in streams if stream.camera == camera])
    frames = [s for s in container.streams if s.kind == "FRME" and s.camera == camera]
    return events, _first_named("frames", frames) if frames else None


def _infer_sensor_size(file: _File) -> SensorSize:
    """From the first events, where the header does not state it."""
    for _, events in _unpacked(file, file.events, {}, file.decode.events_of):
        if len(events):
            width, height = int(events["x"].max()) + 1, int(events["y"].max()) + 1
            return smallest_known(width, height, file.name)
    return smallest_known(1, 1, file.name)


def _first_named(name: str, streams: list[Stream]) -> Stream:
    return next((stream for stream in streams if stream.name == name), streams[0])


def _read_blocks(file: _File, counters: dict[str, int]) -> Iterator[Block]:
    """Blocks of events, each with the frames until its last event."""
    frames = _Frames(file, counters)
    block = _GrowingBlock(BLOCK_EVENTS)
    packets_of_events = _unpacked(file, file.events, counters, file.decode.events_of)
    while True:
        try:
            offset, packet = next(packets_of_events)
        except StopIteration as over:
            end: End = over.value
            break
        if not block.has_room_for(packet):
            yield block.close(frames)
            block = _GrowingBlock(max(BLOCK_EVENTS, len(packet)))
        block.add(offset, packet)
    yield block.close(frames)
    yield Block(empty_events(), block_locator("the end"), frames.until(None))
    if end.fault and not file.lenient:
        raise TruncatedRecordingError(
            f"{file.name}, byte {end.offset}: packets must be whole up to the table of packets; "
            f"{end.fault}. {REMEDY}, which drops the rest and counts it."
        )
    count(counters, "truncated_bytes", end.n_bytes_left)


class _GrowingBlock:
    """The events of a few packets, and where these lie. Memory: ``capacity`` events."""

    def __init__(self, capacity: int) -> None:
        self._events: EventArray = np.empty(capacity, dtype=EVENT_DTYPE)
        self._n_events = 0
        self._ends: list[int] = []
        self._offsets: list[int] = []

    def has_room_for(self, packet: npt.NDArray[np.void]) -> bool:
        """Whether its events fit in."""
        return self._n_events + len(packet) <= len(self._events)

    def add(self, offset: int, packet: npt.NDArray[np.void]) -> None:
        """Copy the events of the packet at ``offset``."""
        copy_aedat4(packet, self._events, self._n_events)
        self._n_events += len(packet)
        self._ends.append(self._n_events)
        self._offsets.append(offset)

    def close(self, frames: _Frames) -> Block:
        """The block, with the frames until its last event."""
        events = self._events[: self._n_events]
        images = frames.until(int(events[-1]["t_us"])) if len(events) else ()
        return Block(events, self._locate, images)

    def _locate(self, index: int) -> str:
        """The packet in which an event lies."""
        return f"byte {self._offsets[bisect_right(self._ends, index)]}"


def _unpacked(
    file: _File, stream: Stream, counters: dict[str, int], parse: Callable[[bytearray], T]
) -> Generator[tuple[int, T], None, End]:
    """What the whole packets of one stream hold, and where each begins; then where they end."""
    unpack = file.decode.unpacker(file.container.compression, file.name)
    with file.plain.open("rb") as data:
        walk = packets(data, file.container, stream.number)
        while True:
            try:
                offset, packed = next(walk)
            except StopIteration as over:
                end: End = over.value
                return end
            try:
                parsed = parse(unpack(packed))
            except (ValueError, struct.error) as error:
                file.damaged(offset, error, counters)
                continue
            yield offset, parsed


class _Frames:
    """Frames in the order of the file, one read ahead, by a second look at the file."""

    def __init__(self, file: _File, counters: dict[str, int]) -> None:
        self._counters = counters
        self._images: Iterator[tuple[int, TimedImage | None]] = iter(())
        if file.frames is not None:
            self._images = _unpacked(file, file.frames, counters, file.decode.image_of)
        self._next = self._read()

    def _read(self) -> TimedImage | None:
        for _, image in self._images:
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
