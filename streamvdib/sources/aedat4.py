"""AEDAT4, as written by iniVation's DV: events and APS frames; IMU and triggers are passed over.

Packets are decoded by dv-processing, which unpacks LZ4 and ZSTD. Events are those of the first
event stream of the camera that the option ``camera`` names, or of the only one. Frames come with
the middle of their exposure, which is the time in the file, colour ones turned to grey.

A file that was cut off is an error; ``lenient`` reads the packets that are whole, from a copy in
the temporary folder, and counts ``truncated_bytes``.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamvdib.errors import MissingExtraError, RecordingError, TruncatedRecordingError
from streamvdib.events import EVENT_DTYPE, EventArray, SensorSize, TimedImage, empty_events
from streamvdib.sources.aedat4_container import (
    MAGIC,
    NO_TABLE,
    Container,
    read_container,
    walk,
)
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block, Locator, block_locator
from streamvdib.sources.reading import REMEDY, count
from streamvdib.sources.record_kernels import copy_aedat4
from streamvdib.sources.recording import Recording
from streamvdib.sources.unpacked import plain_file

BLOCK_EVENTS = 1 << 15
_BATCH = np.dtype(
    {
        "names": ["timestamp", "x", "y", "polarity"],
        "formats": ["<i8", "<i2", "<i2", "i1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": 16,
    }
)
_GREY_FROM_BGR = np.array([0.114, 0.587, 0.299])  # ITU-R BT.601


def recognises(head: bytes, path: Path) -> bool:
    """Whether the file says that it is AEDAT 4."""
    del path
    return head.startswith(MAGIC)


def open_recording(path: Path, options: ReadOptions) -> Recording:
    """Open an AEDAT4 file.

    Options: ``camera`` (its name in the file).

    Raises:
        MissingExtraError: dv-processing is not installed.
    """
    options.only("camera")
    with _opened(path, options, {}) as (reader, _):
        size = _sensor_size(reader, path)

    def read_blocks(counters: dict[str, int]) -> Iterator[Block]:
        return _read_blocks(path, options, counters)

    return Recording(path, "AEDAT4", options.sensor_size or size, read_blocks, options)


def _sensor_size(reader: Any, path: Path) -> SensorSize:
    if not reader.isEventStreamAvailable():
        streams = ", ".join(reader.getStreamNames())
        raise RecordingError(
            f"{path}: must hold an event stream; it holds {streams or 'none'}. Record events too."
        )
    width, height = reader.getEventResolution()
    return SensorSize(int(width), int(height))


@contextmanager
def _opened(
    path: Path, options: ReadOptions, counters: dict[str, int]
) -> Iterator[tuple[Any, Locator]]:
    """A dv-processing reader, and the places of the event packets that it will give."""
    try:
        import dv_processing
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: AEDAT4", extra="aedat4", missing="dv-processing"
        ) from error
    camera = str(options.format_options.get("camera", ""))
    with plain_file(path, suffix=".aedat4", lenient=options.lenient) as plain:
        try:
            container = read_container(plain)
        except RecordingError as error:
            raise type(error)(str(error).replace(str(plain), str(path))) from None
        with _whole(plain, path, container, options, counters) as whole:
            try:
                reader = dv_processing.io.MonoCameraRecording(whole, camera)
            except (RuntimeError, ValueError) as error:
                raise RecordingError(
                    f"{path}: must be a whole AEDAT4 file; the reader says, of what begins at "
                    f"byte {container.first_packet}: {_reason(error)}. {REMEDY}."
                ) from error
            yield reader, partial(_packet_at, whole, container)


@contextmanager
def _whole(
    plain: Path, path: Path, container: Container, options: ReadOptions, counters: dict[str, int]
) -> Iterator[str]:
    """A file whose packets are all whole: the file itself, or a shortened copy."""
    n_bytes = plain.stat().st_size
    if container.table_at != NO_TABLE and container.table_at < n_bytes:
        yield str(plain)
        return
    end = container.first_packet
    with plain.open("rb") as file:
        for packet in walk(file, container, n_bytes):
            if packet.is_whole:
                end = packet.offset + packet.n_bytes
    if not options.lenient and (end < n_bytes or container.table_at != NO_TABLE):
        raise TruncatedRecordingError(
            f"{path}: must end with a whole packet and the table of packets; it ends at byte "
            f"{n_bytes}, its last whole packet at byte {end}. {REMEDY}, which drops the rest."
        )
    if end == n_bytes and container.table_at == NO_TABLE:
        yield str(plain)
        return
    count(counters, "truncated_bytes", n_bytes - end)
    with tempfile.NamedTemporaryFile(prefix="streamvdib-", suffix=".aedat4") as copy:
        with plain.open("rb") as file:
            shutil.copyfileobj(file, copy)
        copy.truncate(end)
        copy.seek(container.table_field_at)
        copy.write(NO_TABLE.to_bytes(8, "little", signed=True))
        copy.flush()
        yield copy.name


def _packet_at(whole: str, container: Container, index: int) -> str:
    """Where the event packet with this index lies; looked for only when something is wrong."""
    offset = container.first_packet
    with open(whole, "rb") as file:
        for packet in walk(file, container, Path(whole).stat().st_size):
            if packet.stream in container.event_streams[:1]:
                offset = packet.offset
                index -= 1
                if index < 0:
                    break
    return f"byte {offset}"


def _read_blocks(path: Path, options: ReadOptions, counters: dict[str, int]) -> Iterator[Block]:
    with _opened(path, options, counters) as (reader, place_of):
        frames = _Frames(reader) if reader.isFrameStreamAvailable() else None
        n_batches = 0
        while batches := _some_batches(reader, n_batches, place_of, path):
            events = _joined(batches)
            images = frames.until(int(events[-1]["t_us"])) if frames and len(events) else ()
            yield Block(events, _locator(batches, n_batches, place_of), images)
            n_batches += len(batches)
        if frames:
            yield Block(empty_events(), block_locator("the end"), frames.until(None))


def _some_batches(
    reader: Any, n_before: int, place_of: Locator, path: Path
) -> list[npt.NDArray[np.void]]:
    """Batches of ``BLOCK_EVENTS`` events in all; none at the end."""
    batches: list[npt.NDArray[np.void]] = []
    n_events = 0
    while n_events < BLOCK_EVENTS:
        try:
            batch = reader.getNextEventBatch("events")
        except (RuntimeError, ValueError, IndexError) as error:
            raise RecordingError(
                f"{path}, {place_of(n_before + len(batches))}: a packet must be whole; the reader "
                f"says: {_reason(error)}. Record or copy the file again."
            ) from error
        if batch is None:
            break
        batches.append(batch.numpy())
        n_events += len(batches[-1])
    return batches


def _joined(batches: list[npt.NDArray[np.void]]) -> EventArray:
    events = np.empty(sum(map(len, batches)), dtype=EVENT_DTYPE)
    start = 0
    for batch in batches:
        copy_aedat4(batch.view(_BATCH), events, start)  # one type object, or dispatch is slow
        start += len(batch)
    return events


def _locator(batches: list[npt.NDArray[np.void]], n_before: int, place_of: Locator) -> Locator:
    """The packet in which an event lies."""
    lengths = [len(batch) for batch in batches]

    def locate(index: int) -> str:
        number = int(np.searchsorted(np.cumsum(lengths), index, side="right"))
        return place_of(n_before + number)

    return locate


def _reason(error: Exception) -> str:
    """What dv-processing says, without the places in its code."""
    text = str(error).partition("Stacktrace:")[0]
    lines = [line for line in text.splitlines() if line and "dv::" not in line]
    return " ".join(lines)[:200].rstrip(". ") or type(error).__name__


class _Frames:
    """Frames in the order of the file, one read ahead."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._next = self._read()

    def _read(self) -> TimedImage | None:
        """The next frame at the middle of its exposure, which is the time in the file."""
        frame = self._reader.getNextFrame("frames")
        if frame is None:
            return None
        half = frame.exposure // 2 // timedelta(microseconds=1)
        return TimedImage(int(frame.timestamp) + half, _grey(frame.image))

    def until(self, t_us: int | None) -> tuple[TimedImage, ...]:
        """Frames not later than ``t_us``; all for None."""
        images = []
        while self._next is not None and (t_us is None or self._next.t_us <= t_us):
            images.append(self._next)
            self._next = self._read()
        return tuple(images)


def _grey(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if pixels.ndim == 2:
        return pixels  # a copy already
    if pixels.shape[2] == 1:
        return np.array(pixels[:, :, 0])
    grey: npt.NDArray[np.uint8] = np.rint(pixels[:, :, :3] @ _GREY_FROM_BGR).astype(np.uint8)
    return grey
