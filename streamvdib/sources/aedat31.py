"""AEDAT 3.1, as written by cAER: packets of polarity and frame events; others are skipped.

    packet   28 bytes: type u16, source u16, event size u32, time offset u32, time overflow u32,
             capacity u32, number u32, valid u32; then ``number`` events, little-endian
    event    u32: 0 valid, 1 is ON, 2-16 y, 17-31 x; i32 time in microseconds
    time     (overflow << 31) + time

Frames are given at the middle of their exposure, the upper 8 bits of their 16, colour ones
turned to grey. Events marked invalid, and those of other types, are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streamvdib.errors import RecordingError
from streamvdib.events import SensorSize, TimedImage, as_events, empty_events
from streamvdib.sources.aedat_header import AedatHeader, read_header
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block, block_locator, record_locator
from streamvdib.sources.reading import REMEDY, ByteStream, count, open_stream, truncated
from streamvdib.sources.recording import Recording
from streamvdib.sources.sensor_sizes import smallest_known

HEADER = np.dtype(
    [
        ("type", "<u2"),
        ("source", "<u2"),
        ("event_bytes", "<u4"),
        ("time_at", "<u4"),
        ("overflow", "<u4"),
        ("capacity", "<u4"),
        ("number", "<u4"),
        ("valid", "<u4"),
    ]
)
POLARITY = np.dtype([("data", "<u4"), ("t_us", "<i4")])
_FRAME = np.dtype([("info", "<u4"), ("t_us", "<i4", 4), ("size", "<i4", 2), ("place", "<i4", 2)])
_POLARITY_TYPE, _FRAME_TYPE = 1, 2
_MAX_PACKET_BYTES = 1 << 28
_INFERENCE_BYTES = 1 << 22
_COMPRESSED = 1 << 15  # in a packet's type
_TYPE_NAMES = {0: "special_events", 3: "imu_events", 4: "imu_events"}


class _Packet(NamedTuple):
    kind: int
    event_bytes: int
    overflow: int
    offset: int  # of the first event
    data: bytes


def recognises(head: bytes, path: Path) -> bool:
    """Whether the file says that it is AEDAT 3."""
    del path
    return head.startswith(b"#!AER-DAT3")


def open_recording(path: Path, options: ReadOptions) -> Recording:
    """Open an AEDAT 3.1 file."""
    options.only()
    with open_stream(path, lenient=True) as stream:
        header = _read_start(stream)
        size = options.sensor_size or header.sensor_size or _infer_sensor_size(stream)

    def read_blocks(counters: dict[str, int]) -> Iterator[Block]:
        return _read_blocks(path, options, counters)

    return Recording(path, "AEDAT 3.1", size, read_blocks, options)


def _read_start(stream: ByteStream) -> AedatHeader:
    header = read_header(stream)
    if header.version != (3, 1):
        major, minor = header.version
        raise RecordingError(
            f"{stream.name}: must be AEDAT 3.1; its header says {major}.{minor}, whose rows count "
            "from below. Convert it."
        )
    return header


def _infer_sensor_size(stream: ByteStream) -> SensorSize:
    """From the first polarity events, where the header does not name a known camera."""
    width = height = 1
    for packet in _packets(stream, {}, lenient=True):
        if packet.kind == _POLARITY_TYPE and packet.data:
            words = np.frombuffer(packet.data, POLARITY)["data"]
            width = max(width, int((words >> 17).max()) + 1)
            height = max(height, int((words >> 2 & 0x7FFF).max()) + 1)
        if stream.offset > _INFERENCE_BYTES:
            break
    return smallest_known(width, height, stream.name)


def _packets(stream: ByteStream, counters: dict[str, int], *, lenient: bool) -> Iterator[_Packet]:
    while start := stream.read(HEADER.itemsize):
        at = stream.offset - len(start)
        if len(start) < HEADER.itemsize:
            truncated(stream.name, at, len(start), HEADER.itemsize, counters, lenient=lenient)
            return
        header = np.frombuffer(start, HEADER)[0]
        if header["type"] & _COMPRESSED:
            raise RecordingError(
                f"{stream.name}, byte {at}: packets must be stored as they are (#Format: RAW); "
                "this one is compressed. Convert it with caer or DV."
            )
        event_bytes, number = int(header["event_bytes"]), int(header["number"])
        n_bytes = event_bytes * number
        if not _is_possible(header, n_bytes):
            raise RecordingError(
                f"{stream.name}, byte {at}: a packet's header must state type, size and number of "
                f"its events; got type {header['type']}, {number} of {event_bytes} bytes. Record "
                "or copy the file again."
            )
        data = stream.read(n_bytes)
        excess = len(data) % event_bytes if number else 0
        place = at + HEADER.itemsize
        yield _Packet(
            int(header["type"]),
            event_bytes,
            int(header["overflow"]),
            place,
            data[: len(data) - excess],
        )
        if len(data) < n_bytes:
            truncated(stream.name, at, len(data), n_bytes, counters, lenient=lenient)
            return


def _is_possible(header: np.void, n_bytes: int) -> bool:
    sizes = {_POLARITY_TYPE: POLARITY.itemsize}
    return bool(
        n_bytes <= _MAX_PACKET_BYTES
        and (header["event_bytes"] > 0 or header["number"] == 0)
        and header["event_bytes"] == sizes.get(int(header["type"]), header["event_bytes"])
        and header["valid"] <= header["number"] <= header["capacity"]
        and header["overflow"] < 1 << 31
    )


def _read_blocks(path: Path, options: ReadOptions, counters: dict[str, int]) -> Iterator[Block]:
    with open_stream(path, lenient=options.lenient) as stream:
        read_header(stream)
        waiting: list[TimedImage] = []
        for packet in _packets(stream, counters, lenient=options.lenient):
            if packet.kind == _POLARITY_TYPE:
                yield _polarity_block(packet, waiting, counters)
                waiting = []
            elif packet.kind == _FRAME_TYPE:
                waiting.extend(_frames(packet, stream.name, counters))
            else:
                name = _TYPE_NAMES.get(packet.kind, "other_events")
                count(counters, name, len(packet.data) // max(packet.event_bytes, 1))
        yield Block(empty_events(), block_locator("the end"), tuple(waiting))


def _polarity_block(packet: _Packet, images: list[TimedImage], counters: dict[str, int]) -> Block:
    records = np.frombuffer(packet.data, POLARITY)
    indices = None
    valid = (records["data"] & 1) != 0
    if not valid.all():
        count(counters, "invalid_events", int(np.count_nonzero(~valid)))
        indices = np.flatnonzero(valid)
        records = records[indices]
    words = records["data"]
    times = records["t_us"].astype(np.int64) + (packet.overflow << 31)
    events = as_events(times, words >> 17, (words >> 2) & 0x7FFF, (words >> 1) & 1)
    locate = record_locator(packet.offset, POLARITY.itemsize, indices)
    return Block(events, locate, tuple(images))


def _frames(packet: _Packet, name: str, counters: dict[str, int]) -> Iterator[TimedImage]:
    for start in range(0, len(packet.data), max(packet.event_bytes, 1)):
        if packet.event_bytes < _FRAME.itemsize:
            raise RecordingError(
                f"{name}, byte {packet.offset}: a frame must have {_FRAME.itemsize} bytes before "
                f"its pixels; it has {packet.event_bytes} in all. {REMEDY}."
            )
        frame = np.frombuffer(packet.data, _FRAME, 1, start)[0]
        width, height = (int(length) for length in frame["size"])
        n_channels = int(frame["info"] >> 1) & 7
        n_bytes = 2 * width * height * n_channels
        if not frame["info"] & 1 or n_channels not in (1, 3, 4):
            count(counters, "invalid_frames", 1)
            continue
        if width < 1 or height < 1 or n_bytes > packet.event_bytes - _FRAME.itemsize:
            raise RecordingError(
                f"{name}, byte {packet.offset + start}: a frame's pixels must lie within it; it "
                f"states {width}x{height}x{n_channels}. {REMEDY}."
            )
        at = start + _FRAME.itemsize
        pixels = np.frombuffer(packet.data, "<u2", n_bytes // 2, at)
        begin_us, end_us = int(frame["t_us"][2]), int(frame["t_us"][3])
        t_us = (begin_us + end_us) // 2 + (packet.overflow << 31)
        yield TimedImage(t_us, _grey(pixels.reshape(height, width, n_channels)))


def _grey(pixels: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """The mean of the colour channels, 16 bits to 8."""
    colours = pixels[:, :, :3].astype(np.uint32)
    grey: npt.NDArray[np.uint8] = (colours.mean(axis=2) / 256).astype(np.uint8)
    return grey
