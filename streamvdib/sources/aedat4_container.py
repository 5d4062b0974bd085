r"""The outer shape of an AEDAT4 file: where its packets lie, and whether the file is whole.

    "#!AER-DAT4.0\r\n", a size-prefixed flatbuffer "IOHE" (compression, position of the data
    table, an XML description of the streams), packets of (stream u32, size u32, data), the data
    table

Needed because the library that decodes packets says neither where data are bad nor, of a file
that was cut off, anything but that it cannot be read.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from streamvdib.errors import RecordingError
from streamvdib.sources.reading import REMEDY

MAGIC = b"#!AER-DAT4"
NO_TABLE = -1
_VERSION_BYTES = 14
_MAX_HEADER_BYTES = 1 << 24
_PACKET = struct.Struct("<II")
_STREAM = re.compile(
    r'<node name="(\d+)" path="[^"]*/outInfo/\d+/">(.*?)(?=<node name="\d+"|$)', re.DOTALL
)
_TYPE = re.compile(r'key="typeIdentifier"[^>]*>([A-Z0-9]{4})<')


@dataclass(frozen=True)
class Container:
    """What the header says.

    Args:
        first_packet: its offset.
        table_at: offset of the data table; ``NO_TABLE`` if it was never written.
        table_field_at: where ``table_at`` itself is stored; 0 if it is not.
        event_streams: numbers of the streams that hold events.
    """

    first_packet: int
    table_at: int
    table_field_at: int
    event_streams: tuple[int, ...]


@dataclass(frozen=True)
class Packet:
    """One packet: its stream, its offset, and whether all of it is there."""

    stream: int
    offset: int
    n_bytes: int
    is_whole: bool


def read_container(path: Path) -> Container:
    """Parse the header.

    Raises:
        RecordingError: it is not one.
    """
    with path.open("rb") as file:
        start = file.read(_VERSION_BYTES + 4)
        n_bytes = int.from_bytes(start[_VERSION_BYTES:], "little")
        header = file.read(min(n_bytes, _MAX_HEADER_BYTES))
    try:
        if len(header) < n_bytes:
            raise ValueError("it ends inside the header")
        return _parse(header)
    except (struct.error, ValueError) as error:
        raise RecordingError(
            f"{path}: the AEDAT4 header at byte {_VERSION_BYTES} must be whole; {error}. {REMEDY}."
        ) from error


def _parse(header: bytes) -> Container:
    """A flatbuffer by hand: the root table, its list of fields, three fields."""
    if header[4:8] != b"IOHE":
        raise ValueError(f"its identifier is {header[4:8]!r} instead of b'IOHE'")
    root = struct.unpack_from("<I", header)[0]
    fields_at = root - struct.unpack_from("<i", header, root)[0]
    if fields_at < 0:
        raise ValueError("its list of fields lies before it")
    n_fields = (struct.unpack_from("<H", header, fields_at)[0] - 4) // 2
    fields = struct.unpack_from(f"<{max(n_fields, 0)}H", header, fields_at + 4)
    _, table, description = (*fields, 0, 0, 0)[:3]
    table_at = struct.unpack_from("<q", header, root + table)[0] if table else NO_TABLE
    text = ""
    if description:
        string_at = root + description
        string_at += struct.unpack_from("<I", header, string_at)[0]
        n_chars = struct.unpack_from("<I", header, string_at)[0]
        text = header[string_at + 4 : string_at + 4 + n_chars].decode(errors="replace")
    base = _VERSION_BYTES + 4
    streams = tuple(
        int(number)
        for number, content in _STREAM.findall(text)
        if (found := _TYPE.search(content)) and found[1] == "EVTS"
    )
    return Container(base + len(header), table_at, base + root + table if table else 0, streams)


def walk(file: BinaryIO, container: Container, n_bytes: int) -> Iterator[Packet]:
    """The packets in order; the last one may not be whole.

    Args:
        file: the recording.
        container: its header.
        n_bytes: the file's size.
    """
    end = n_bytes if container.table_at == NO_TABLE else min(container.table_at, n_bytes)
    offset = container.first_packet
    while offset < end:
        file.seek(offset)
        prefix = file.read(_PACKET.size)
        if len(prefix) < _PACKET.size:
            yield Packet(-1, offset, len(prefix), is_whole=False)
            return
        stream, size = _PACKET.unpack(prefix)
        whole = offset + _PACKET.size + size <= end
        yield Packet(stream, offset, _PACKET.size + size, whole)
        offset += _PACKET.size + size
