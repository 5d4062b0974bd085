"""This project's own container, made to be appended to and to be cut off anywhere.

    header:  b"SVR1" length(u32) {"width": W, "height": H} as JSON
    chunk:   b"CHNK" n_events(u32) end_us(i64) crc32(u32), then n_events records

All numbers are little-endian; a record is ``EVENT_DTYPE``, 13 bytes; the checksum covers the
records. ``end_us`` says up to when nothing more came, so that silence is recorded too. A file
that was cut off, as by a crash while recording, is good up to its last whole chunk: what follows
is counted as ``truncated_bytes``. A chunk that is damaged is an error, or, with ``lenient``,
left out and counted as ``damaged_chunks``.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from streamvdib.errors import RecordingError
from streamvdib.events import EVENT_DTYPE, EventArray, EventPacket, SensorSize
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block, record_locator
from streamvdib.sources.reading import REMEDY, ByteStream, count, open_stream
from streamvdib.sources.recording import Recording

FILE_MAGIC = b"SVR1"
CHUNK_MAGIC = b"CHNK"
CHUNK_HEAD = struct.Struct("<4sIqI")
MAX_HEADER_BYTES = 4096
MAX_CHUNK_EVENTS = 1 << 22


def recognises(head: bytes, path: Path) -> bool:
    """Whether the file begins with our magic number."""
    del path
    return head.startswith(FILE_MAGIC)


def open_recording(path: Path, options: ReadOptions) -> Recording:
    """Open a recording made by ``--record`` or ``replay``."""
    options.only()
    with open_stream(path) as stream:
        stated = read_header(stream)

    def read_blocks(counters: dict[str, int]) -> Iterator[Block]:
        with open_stream(path, lenient=options.lenient) as stream:
            read_header(stream)
            for events, offset in _chunks(stream, counters, lenient=options.lenient):
                yield Block(events, record_locator(offset, EVENT_DTYPE.itemsize))

    return Recording(path, "SVR 1", options.sensor_size or stated, read_blocks, options)


def header(sensor_size: SensorSize) -> bytes:
    """What a file begins with."""
    text = json.dumps(sensor_size._asdict()).encode()
    return FILE_MAGIC + struct.pack("<I", len(text)) + text


def chunk(packet: EventPacket) -> bytes:
    """One packet as a chunk."""
    records = packet.events.astype(EVENT_DTYPE, copy=False).tobytes()
    head = CHUNK_HEAD.pack(CHUNK_MAGIC, len(packet.events), packet.end_us, zlib.crc32(records))
    return head + records


def read_header(stream: ByteStream) -> SensorSize:
    """The sensor's size.

    Raises:
        RecordingError: the header is damaged.
    """
    start = stream.read(8)
    length = struct.unpack("<I", start[4:])[0] if len(start) == 8 else 0
    text = stream.read(length) if length <= MAX_HEADER_BYTES else b""
    try:
        values = json.loads(text)
        size = SensorSize(int(values["width"]), int(values["height"]))
    except (ValueError, KeyError, TypeError) as error:
        raise RecordingError(
            f"{stream.name}: the header from byte 0 must state the sensor's size; it reads "
            f"{(start + text)[:40]!r}. Record it again, or repair the header."
        ) from error
    return size


def _chunks(
    stream: ByteStream, counters: dict[str, int], *, lenient: bool
) -> Iterator[tuple[EventArray, int]]:
    """Events of each whole chunk, and the offset of the first record."""
    while True:
        offset = stream.offset
        head = stream.read(CHUNK_HEAD.size)
        if len(head) < CHUNK_HEAD.size:
            count(counters, "truncated_bytes", len(head))
            return
        magic, n_events, _, checksum = CHUNK_HEAD.unpack(head)
        if magic != CHUNK_MAGIC or n_events > MAX_CHUNK_EVENTS:
            _damaged(stream.name, offset, "a chunk must begin here", counters, lenient)
            return  # there is no telling where the next one begins
        records = stream.read(n_events * EVENT_DTYPE.itemsize)
        if len(records) < n_events * EVENT_DTYPE.itemsize:
            count(counters, "truncated_bytes", len(head) + len(records))
            return
        if zlib.crc32(records) != checksum:
            _damaged(stream.name, offset, "a chunk must have its checksum", counters, lenient)
            continue
        yield np.frombuffer(records, dtype=EVENT_DTYPE).copy(), offset + CHUNK_HEAD.size


def _damaged(name: str, offset: int, rule: str, counters: dict[str, int], lenient: bool) -> None:
    if not lenient:
        raise RecordingError(
            f"{name}: {rule}; the one at byte {offset} is damaged. {REMEDY}, which leaves it out "
            "and counts it."
        )
    count(counters, "damaged_chunks", 1)
