r"""The outer shape of an AEDAT4 file: its header, its streams, and where its packets lie.

    "#!AER-DAT4.0\r\n", a size-prefixed flatbuffer "IOHE" (compression, position of the data
    table, an XML description of the streams), packets of (stream u32, size u32, data), the data
    table

The data table repeats what the packets say and is not read: a file that was never closed, and so
has none, reads like any other.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streamvdib.errors import RecordingError
from streamvdib.events import SensorSize
from streamvdib.sources.aedat4_kernels import MAX_PACKET_BYTES, split_packets
from streamvdib.sources.flatbuffer import root_table
from streamvdib.sources.lz4_kernel import SLACK
from streamvdib.sources.reading import REMEDY

MAGIC = b"#!AER-DAT4"
NO_TABLE = -1
NOT_PACKED, LZ4 = 0, (1, 2)
CHUNK_BYTES = 1 << 17
_VERSION_BYTES = 14
_MAX_HEADER_BYTES = 1 << 24
_PACKET = struct.Struct("<II")
PACKET_BYTES = _PACKET.size  # before what it holds
_COMPRESSION, _TABLE_AT, _DESCRIPTION = 0, 1, 2  # fields of the header
_NODE = re.compile(r'<node name="(\d{1,9})" path="([^"]*)">')
_STREAM_PATH = re.compile(r"/outInfo/\d+/$")
_ATTRIBUTE = re.compile(r'<attr key="(\w+)"[^>]*>([^<]*)<')


@dataclass(frozen=True)
class Stream:
    """What the header says of one stream.

    Args:
        number: that its packets carry.
        kind: "EVTS", "FRME", "IMUS", "TRIG" or another.
        name: of the module's output, such as "events".
        camera: its source, such as "DAVIS346_00000002".
        size: of the sensor, if stated.
    """

    number: int
    kind: str
    name: str
    camera: str
    size: SensorSize | None


@dataclass(frozen=True)
class Container:
    """What the header says.

    Args:
        first_packet: its offset.
        table_at: offset of the data table; ``NO_TABLE`` if it was never written.
        compression: ``NOT_PACKED``, one of ``LZ4``, or 3 and 4, ZSTD.
        streams: in the order of the header.
    """

    first_packet: int
    table_at: int
    compression: int
    streams: tuple[Stream, ...]


class End(NamedTuple):
    """Where whole packets end, and what is wrong there; "" if nothing is."""

    offset: int
    n_bytes_left: int
    fault: str


class Chunk(NamedTuple):
    """A piece of the file.

    Args:
        offset: where it begins.
        data: what it holds, and ``SLACK`` bytes at least, (n_bytes,).
        places: for each packet, where what it holds begins in ``data``, and its size,
            (n_packets, 2).
        end: where whole packets end, of this stream or another, if this is the last piece: at the
            table of a whole file.
    """

    offset: int
    data: npt.NDArray[np.uint8]
    places: npt.NDArray[np.int64]
    end: End | None = None

    def offset_of(self, index: int) -> int:
        """Where a packet begins in the file."""
        return self.offset + int(self.places[index, 0]) - PACKET_BYTES


def read_container(path: Path, name: str) -> Container:
    """Parse the header.

    Args:
        path: of the file, not packed.
        name: of the recording, for messages.

    Raises:
        RecordingError: it is not one.
    """
    with path.open("rb") as file:
        start = file.read(_VERSION_BYTES + 4)
        n_bytes = int.from_bytes(start[_VERSION_BYTES:], "little")
        header = file.read(min(n_bytes, _MAX_HEADER_BYTES))
    try:
        if len(header) < n_bytes or n_bytes == 0:
            raise ValueError("it ends inside the header")
        table = root_table(header, b"IOHE")
        table_at = table.integer(_TABLE_AT, "q", NO_TABLE)
        compression = table.integer(_COMPRESSION, "i")
        streams = _streams(table.text(_DESCRIPTION))
    except (struct.error, ValueError) as error:
        raise RecordingError(
            f"{name}: the AEDAT4 header at byte {_VERSION_BYTES} must be whole; {error}. {REMEDY}."
        ) from error
    if not 0 <= compression <= 4:
        raise RecordingError(
            f"{name}, byte {_VERSION_BYTES}: packets must be packed with LZ4, ZSTD or not at all; "
            f"the header says {compression}. Convert it with DV."
        )
    return Container(_VERSION_BYTES + 4 + len(header), table_at, compression, streams)


def _streams(description: str) -> tuple[Stream, ...]:
    streams = []
    parts = _NODE.split(description)
    for number, path, content in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        if not _STREAM_PATH.search(path):
            continue
        values = dict(_ATTRIBUTE.findall(content))
        size = None
        if values.get("sizeX", "").isdecimal() and values.get("sizeY", "").isdecimal():
            size = SensorSize(int(values["sizeX"]), int(values["sizeY"]))
        streams.append(
            Stream(
                int(number),
                values.get("typeIdentifier", ""),
                values.get("originalOutputName", ""),
                values.get("source", ""),
                size if size is not None and min(size) > 0 and max(size) <= 1 << 15 else None,
            )
        )
    return tuple(streams)


def chunks(file: FileIO, container: Container, stream: int) -> Iterator[Chunk]:
    """Pieces of the file with the whole packets of one stream that lie in them.

    What a piece holds stays there until the next is asked for; the last one holds nothing. Memory:
    ``CHUNK_BYTES``, or what the longest packet of the stream takes, if that is more.

    Args:
        file: the recording, not buffered.
        container: its header.
        stream: its number.
    """
    n_file_bytes = os.fstat(file.fileno()).st_size
    has_table = container.first_packet <= container.table_at <= n_file_bytes
    end = container.table_at if has_table else n_file_bytes
    known = np.array([one.number for one in container.streams], dtype=np.int64)
    room, offset, fault = np.empty(CHUNK_BYTES + SLACK, np.uint8), container.first_packet, ""
    while offset + PACKET_BYTES <= end:
        file.seek(offset)
        n_held = file.readinto(room.data[: min(len(room) - SLACK, end - offset)])
        places, n_used = split_packets(room[:n_held], end - offset, known, stream)
        if len(places):
            yield Chunk(offset, room, places)
        offset += n_used
        if n_used:
            continue
        found, size = _PACKET.unpack_from(room.data)
        if found not in known or size > MAX_PACKET_BYTES:
            fault = f"what follows is of an unknown stream ({found}) and of {size} bytes"
            break
        if offset + PACKET_BYTES + size > end:
            break
        room = np.empty(PACKET_BYTES + size + SLACK, np.uint8)
    was_closed = container.table_at != NO_TABLE
    if not fault and (offset < end or (was_closed and container.table_at > end)):
        fault = f"the file ends at byte {n_file_bytes}"
    none = np.empty((0, 2), np.int64)
    yield Chunk(offset, room, none, End(offset, end - offset, fault))
