"""AEDAT4, as written by iniVation's DV: events and APS frames; IMU and triggers are passed over.

Events are those of the camera that the option ``camera`` names, or of the first one: of its
stream called "events", or of its first stream of events. Frames of the same camera come with the
middle of their exposure, colour ones turned to grey.

A file that was never closed, as by a crash while recording, is read to its last whole packet.
What follows that is an error, or, with ``lenient``, counted as ``truncated_bytes``; a packet that
is damaged likewise, as ``damaged_packets``. Memory: one block of events, one frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from streamvdib.errors import ConfigurationError, MissingExtraError, RecordingError
from streamvdib.events import SensorSize
from streamvdib.sources.aedat4_blocks import Packets, read_blocks
from streamvdib.sources.aedat4_container import MAGIC, Container, Stream, read_container
from streamvdib.sources.kernels import extent
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block
from streamvdib.sources.recording import Recording
from streamvdib.sources.sensor_sizes import smallest_known
from streamvdib.sources.unpacked import plain_file


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
        first = Packets(plain, str(path), options.lenient, container, events, frames, decode)
        size = options.sensor_size or events.size or _infer_sensor_size(first)

    def blocks(counters: dict[str, int]) -> Iterator[Block]:
        if first.plain == path:
            yield from read_blocks(first, counters)
            return
        with plain_file(path, lenient=options.lenient) as plain:
            yield from read_blocks(replace(first, plain=plain), counters)

    return Recording(path, "AEDAT4", size, blocks, options)


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


def _infer_sensor_size(file: Packets) -> SensorSize:
    """From the first events, where the header does not state it."""
    for block in read_blocks(replace(file, frames=None), {}):
        if len(block.events):
            width, height = extent(block.events)
            return smallest_known(width, height, file.name)
    return smallest_known(1, 1, file.name)


def _first_named(name: str, streams: list[Stream]) -> Stream:
    return next((stream for stream in streams if stream.name == name), streams[0])
