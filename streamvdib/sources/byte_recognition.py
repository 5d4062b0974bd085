"""Finds out what comes through a pipe by how it begins, and decodes it."""

from __future__ import annotations

import io
import json
import struct

from streamvdib.errors import UnknownFormatError
from streamvdib.events import EventArray, SensorSize, empty_events
from streamvdib.sources import svr
from streamvdib.sources.byte_streams import (
    ByteDecoder,
    EventStreamDecoder,
    EvtWordsDecoder,
    SvrDecoder,
    TextDecoder,
)
from streamvdib.sources.es_kernels import ATIS, DVS
from streamvdib.sources.evt_decoder import ENCODINGS
from streamvdib.sources.prophesee_header import read_header
from streamvdib.sources.reading import ByteStream
from streamvdib.sources.text_layout import find_layout

MAX_HEAD_BYTES = 1 << 16


class AnyDecoder:
    """Decodes a stream of any of the formats. Memory: that of the format, or the header."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._head = b""
        self._decoder: ByteDecoder | None = None

    @property
    def sensor_size(self) -> SensorSize | None:
        """What the stream says of itself, if it does and once it has."""
        return None if self._decoder is None else self._decoder.sensor_size

    @property
    def is_recognised(self) -> bool:
        """Whether enough has come to know the format."""
        return self._decoder is not None

    @property
    def n_malformed(self) -> int:
        """Lines, words or chunks passed over."""
        return 0 if self._decoder is None else self._decoder.n_malformed

    @property
    def n_rest(self) -> int:
        """Bytes of an event or a header that is not complete."""
        return len(self._head if self._decoder is None else self._decoder.rest)

    @property
    def end_us(self) -> int | None:
        """Up to when nothing more will come, if the format tells."""
        return None if self._decoder is None else self._decoder.end_us

    def decode(self, data: bytes, *, ended: bool = False) -> EventArray:
        """Events that ``data`` completes.

        Args:
            data: the next bytes, in any pieces.
            ended: nothing comes after them.

        Raises:
            UnknownFormatError: the stream begins like none of the formats.
        """
        if self._decoder is None:
            self._head += data
            found = recognise_bytes(self._head, ended=ended, name=self._name)
            if found is None:
                return empty_events()
            self._decoder, n_bytes = found
            data, self._head = self._head[n_bytes:], b""
        if ended and isinstance(self._decoder, TextDecoder):
            data += b"\n"  # the last line may lack it
        return self._decoder.decode(data)


def recognise_bytes(
    head: bytes, *, ended: bool, name: str = "the stream"
) -> tuple[ByteDecoder, int] | None:
    """The decoder for a stream, and how many bytes its header takes; None to wait for more.

    Args:
        head: all bytes so far.
        ended: nothing more will come.
        name: for messages.

    Raises:
        UnknownFormatError: it begins like none of the formats.
    """
    found: tuple[ByteDecoder, int] | None
    if head.startswith(svr.FILE_MAGIC):
        found = _svr(head)
    elif head.startswith(b"Event Stream"):
        found = _event_stream(head)
    elif head.startswith(b"%") and _header_is_whole(head):
        found = _evt(head) or _text(head, ended)
    elif head.startswith(b"%"):
        found = None
    else:
        found = None if _may_become_binary(head) else _text(head, ended)
    if found is None and (ended or len(head) >= MAX_HEAD_BYTES) and head:
        raise UnknownFormatError(
            f"{name}: must be text with a line per event, Event Stream 2, RAW (EVT) "
            f"or SVR; it begins with {head[:16]!r}. Convert it, or record it to a file first."
        )
    return found


def _may_become_binary(head: bytes) -> bool:
    """Whether these are the first bytes of a magic number."""
    return any(magic.startswith(head) for magic in (svr.FILE_MAGIC, b"Event Stream"))


def _svr(head: bytes) -> tuple[ByteDecoder, int] | None:
    if len(head) < 8:
        return None
    end = 8 + int(struct.unpack("<I", head[4:8])[0])
    if len(head) < end:
        return None
    try:
        values = json.loads(head[8:end])
        return SvrDecoder(SensorSize(int(values["width"]), int(values["height"]))), end
    except (ValueError, KeyError, TypeError):
        return None


def _event_stream(head: bytes) -> tuple[ByteDecoder, int] | None:
    if len(head) < 20:
        return None
    major, _, _, kind, width, height = struct.unpack("<4B2H", head[12:20])
    if major != 2 or kind not in (DVS, ATIS):
        return None
    return EventStreamDecoder(SensorSize(width, height), kind), 20


def _header_is_whole(head: bytes) -> bool:
    """Whether something follows the lines that begin with %, or their end is marked."""
    at = 0
    while at < len(head):
        stop = head.find(b"\n", at)
        if head[at : at + 1] != b"%" or head[at:stop].strip() == b"% end":
            return True
        if stop < 0:
            return False
        at = stop + 1
    return False


def _evt(head: bytes) -> tuple[ByteDecoder, int] | None:
    header = read_header(ByteStream(io.BytesIO(head), "header"))
    if header.encoding not in ENCODINGS:
        return None
    return EvtWordsDecoder(header.encoding, header.sensor_size), header.n_bytes


def _text(head: bytes, ended: bool) -> tuple[ByteDecoder, int] | None:
    lines = head if ended else head[: head.rfind(b"\n") + 1]
    layout = find_layout(lines, {}) if lines else None
    if layout is None or (layout.n_bytes >= len(lines) and not ended):
        return None  # the first event tells the unit of the times
    return TextDecoder(layout, layout.sensor_size), layout.n_bytes
