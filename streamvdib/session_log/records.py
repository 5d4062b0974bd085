"""Records of a session log: length-prefixed, checksummed, compressed.

    file:    8 bytes "SVLOG" CR LF 1 (the version), then records
    record:  kind u8, stored length u32, plain length u32, CRC-32 u32, stored bytes

All little-endian. The checksum covers kind, both lengths and the stored bytes. Stored bytes are
deflated where that makes them shorter; equal lengths mean that they are plain.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from streamvdib.errors import RecordingError
from streamvdib.events import EVENT_DTYPE, EventPacket, TimedImage

MAGIC = b"SVLOG\r\n\x01"
MAX_RECORD_BYTES = 1 << 30
_HEAD = struct.Struct("<BIII")
_COVERED = struct.Struct("<BII")
_PACKET = struct.Struct("<HqII")
_IMAGE = struct.Struct("<qHH")
_TARGET = struct.Struct("<q?B")


class Kind(IntEnum):
    """What a record holds."""

    START = 1  # configuration and versions, JSON
    STATE = 2  # a checkpoint file: go on from here
    PACKET = 3  # events of one stream
    CONTROL = 4  # a command, JSON
    TARGET = 5  # what a learner was given
    STEPS = 6  # CRC-32 of the readout spikes of consecutive steps
    FRAME = 7  # step and CRC-32 of a frame
    END = 8  # closed in order


class Record(NamedTuple):
    """One record, as it lies in a file."""

    kind: Kind
    payload: bytes
    offset: int  # of its first byte in the file


def pack(kind: Kind, payload: bytes) -> bytes:
    """A record as bytes."""
    stored = zlib.compress(payload, 1)
    if len(stored) >= len(payload):
        stored = payload
    covered = _COVERED.pack(kind, len(stored), len(payload))
    return covered + struct.pack("<I", zlib.crc32(stored, zlib.crc32(covered))) + stored


def unpack(data: memoryview, offset: int) -> tuple[Record, int] | None:
    """The record at ``offset`` and the offset after it; None where the file was cut off there.

    Raises:
        RecordingError: the record is damaged.
    """
    if len(data) - offset < _HEAD.size:
        return None
    kind, n_stored, n_plain, checksum = _HEAD.unpack_from(data, offset)
    if not n_stored <= n_plain <= MAX_RECORD_BYTES:
        raise RecordingError(
            f"the record at byte {offset} must take at most {MAX_RECORD_BYTES} bytes; it claims "
            f"{n_plain} stored in {n_stored}. What comes before it is whole."
        )
    start = offset + _HEAD.size
    if len(data) - start < n_stored:
        return None
    stored = data[start : start + n_stored]
    covered = _COVERED.pack(kind, n_stored, n_plain)
    if zlib.crc32(stored, zlib.crc32(covered)) != checksum or kind not in list(Kind):
        raise RecordingError(
            f"the record at byte {offset} must match its checksum; it is damaged. "
            "What comes before it is whole."
        )
    payload = bytes(stored) if n_stored == n_plain else _inflate(stored, n_plain, offset)
    return Record(Kind(kind), payload, offset), start + n_stored


def _inflate(stored: memoryview, n_plain: int, offset: int) -> bytes:
    inflater = zlib.decompressobj()
    payload = inflater.decompress(stored, n_plain)
    if len(payload) != n_plain or inflater.unconsumed_tail:
        raise RecordingError(f"the record at byte {offset} must unpack to {n_plain} bytes")
    return payload


def packet_bytes(stream: int, packet: EventPacket) -> bytes:
    """A packet as a payload."""
    parts = [
        _PACKET.pack(stream, packet.end_us, len(packet.events), len(packet.images)),
        packet.events.tobytes(),
    ]
    for image in packet.images:
        parts += [_IMAGE.pack(image.t_us, *image.pixels.shape), image.pixels.tobytes()]
    return b"".join(parts)


def packet_from(payload: bytes) -> tuple[int, EventPacket]:
    """Stream and packet of a payload."""
    stream, end_us, n_events, n_images = _PACKET.unpack_from(payload)
    events = np.frombuffer(payload, EVENT_DTYPE, n_events, _PACKET.size).copy()  # writable again
    position = _PACKET.size + events.nbytes
    images = []
    for _ in range(n_images):
        t_us, height, width = _IMAGE.unpack_from(payload, position)
        position += _IMAGE.size
        pixels = np.frombuffer(payload, np.uint8, height * width, position)
        images.append(TimedImage(t_us, pixels.reshape(height, width)))
        position += pixels.nbytes
    return stream, EventPacket(events, end_us, tuple(images))


def target_bytes(end_us: int, target: npt.NDArray[np.float32] | None) -> bytes:
    """A learning target as a payload."""
    if target is None:
        return _TARGET.pack(end_us, False, 0)
    shape = struct.pack(f"<{target.ndim}I", *target.shape)
    return _TARGET.pack(end_us, True, target.ndim) + shape + target.astype("<f4").tobytes()


def target_from(payload: bytes) -> tuple[int, npt.NDArray[np.float32] | None]:
    """Time and target of a payload."""
    end_us, is_known, n_dimensions = _TARGET.unpack_from(payload)
    if not is_known:
        return end_us, None
    shape = struct.unpack_from(f"<{n_dimensions}I", payload, _TARGET.size)
    values = np.frombuffer(payload, "<f4", offset=_TARGET.size + 4 * n_dimensions)
    return end_us, values.reshape(shape).copy()


def table_bytes(table: Mapping[str, Any]) -> bytes:
    """Plain values as a payload."""
    return json.dumps(dict(table)).encode()


def table_from(payload: bytes) -> dict[str, Any]:
    """Plain values of a payload."""
    return dict(json.loads(payload))
