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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    Stream,
    find_end,
    packets,
    read_container,
)
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block, Locator, block_locator
from streamvdib.sources.reading import REMEDY, count
from streamvdib.sources.record_kernels import copy_aedat4
from streamvdib.sources.recording import Recording
from streamvdib.sources.sensor_sizes import smallest_known
from streamvdib.sources.unpacked import plain_file

BLOCK_EVENTS = 1 << 14
BUFFER_BYTES = 1 << 18

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
    with _opened(path, options) as file:
        size = options.sensor_size or file.events.size or _infer_sensor_size(file)

    def read_blocks(counters: dict[str, int]) -> Iterator[Block]:
        with _opened(path, options) as again:
            yield from _read_blocks(again, counters)

    return Recording(path, "AEDAT4", size, read_blocks, options)


@dataclass(frozen=True)
class _File:
    """An open file, and what is read of it."""

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


@contextmanager
def _opened(path: Path, options: ReadOptions) -> Iterator[_File]:
    try:
        from streamvdib.sources import aedat4_packets
    except ImportError as error:
        raise MissingExtraError(f"{path}: AEDAT4", extra="aedat4", missing="lz4") from error
    with plain_file(path, suffix=".aedat4", lenient=options.lenient) as plain:
        container = read_container(plain, str(path))
        events, frames = _choose(container, options, path)
        yield _File(plain, str(path), options.lenient, container, events, frames, aedat4_packets)


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
    pieces: list[npt.NDArray[np.void]] = []
    offsets: list[int] = []
    n_events = 0
    for offset, piece in _unpacked(file, file.events, counters, file.decode.events_of):
        pieces.append(piece)
        offsets.append(offset)
        n_events += len(piece)
        if n_events >= BLOCK_EVENTS:
            yield _block(pieces, offsets, frames)
            pieces, offsets, n_events = [], [], 0
    if n_events:
        yield _block(pieces, offsets, frames)
    yield Block(empty_events(), block_locator("the end"), frames.until(None))
    _check_end(file, counters)


def _block(pieces: list[npt.NDArray[np.void]], offsets: list[int], frames: _Frames) -> Block:
    events: EventArray = np.empty(sum(map(len, pieces)), dtype=EVENT_DTYPE)
    start = 0
    for piece in pieces:
        copy_aedat4(piece, events, start)
        start += len(piece)
    images = frames.until(int(events[-1]["t_us"])) if len(events) else ()
    return Block(events, _locator(pieces, offsets), images)


def _locator(pieces: list[npt.NDArray[np.void]], offsets: list[int]) -> Locator:
    """The packet in which an event lies."""
    ends = np.cumsum([len(piece) for piece in pieces])
    return lambda index: f"byte {offsets[int(np.searchsorted(ends, index, side='right'))]}"


def _unpacked(
    file: _File, stream: Stream, counters: dict[str, int], parse: Callable[[bytes], T]
) -> Iterator[tuple[int, T]]:
    """What the whole packets of one stream hold, and where each begins."""
    unpack = file.decode.unpacker(file.container.compression, file.name)
    with file.plain.open("rb", buffering=BUFFER_BYTES) as data:
        for offset, packed in packets(data, file.container, stream.number):
            try:
                parsed = parse(unpack(packed))
            except (ValueError, struct.error) as error:
                file.damaged(offset, error, counters)
                continue
            yield offset, parsed


def _check_end(file: _File, counters: dict[str, int]) -> None:
    """Raise, or count, if the file does not end with a whole packet, or with its table."""
    with file.plain.open("rb") as data:
        end = find_end(data, file.container)
    if end.fault and not file.lenient:
        raise TruncatedRecordingError(
            f"{file.name}, byte {end.offset}: packets must be whole up to the table of packets; "
            f"{end.fault}. {REMEDY}, which drops the rest and counts it."
        )
    count(counters, "truncated_bytes", end.n_bytes_left)


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

    def until(self, t_us: int | None) -> tuple[TimedImage, ...]:
        """Frames not later than ``t_us``; all for None."""
        images = []
        while self._next is not None and (t_us is None or self._next.t_us <= t_us):
            images.append(self._next)
            self._next = self._read()
        return tuple(images)
