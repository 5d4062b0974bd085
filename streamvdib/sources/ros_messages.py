"""ROS messages that hold events or images, parsed from their bytes without ROS.

A ROS 1 message is its fields one after the other; a ROS 2 message is CDR: four bytes that say
the byte order, then fields at multiples of their size. Arrays of events are parsed as arrays.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamvdib.events import EventArray, SensorSize, TimedImage, as_events

_CDR_HEADER_BYTES = 4
_ROS1_EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("s", "<u4"), ("ns", "<u4"), ("on", "u1")])
_MONO_EVENT = np.dtype("<u8")


class MessageError(ValueError):
    """A message that does not hold what its type promises."""


class Cursor:
    """Reads the fields of a message in order.

    Args:
        data: the message.
        is_cdr: of ROS 2.
    """

    def __init__(self, data: bytes, *, is_cdr: bool) -> None:
        self.data = data
        self.is_cdr = is_cdr
        self.at = _CDR_HEADER_BYTES if is_cdr else 0
        if is_cdr and data[1:2] not in (b"\x01", b"\x00"):
            raise MessageError("its CDR header is unknown")
        self._order = ">" if is_cdr and data[1:2] == b"\x00" else "<"

    def number(self, kind: str) -> int:
        """One integer, of a format character of ``struct``."""
        self.align(struct.calcsize("=" + kind))
        try:
            value = struct.unpack_from(self._order + kind, self.data, self.at)[0]
        except struct.error as error:
            raise MessageError("it ends inside a field") from error
        self.at += struct.calcsize("=" + kind)
        return int(value)

    def align(self, n_bytes: int) -> None:
        """Go to the next multiple of ``n_bytes``; ROS 1 has none."""
        if self.is_cdr:
            self.at += -(self.at - _CDR_HEADER_BYTES) % n_bytes

    def raw(self, n_bytes: int) -> bytes:
        """So many bytes."""
        if self.at + n_bytes > len(self.data):
            raise MessageError("it ends inside a field")
        self.at += n_bytes
        return self.data[self.at - n_bytes : self.at]

    def array(self) -> bytes:
        """A length and as many bytes."""
        return self.raw(self.number("I"))

    def text(self) -> str:
        """A string."""
        return self.array().rstrip(b"\0").decode(errors="replace")

    def stamp_us(self) -> int:
        """A header's or an event's time, microseconds."""
        seconds, nanoseconds = self.number("I"), self.number("I")
        return seconds * 1_000_000 + nanoseconds // 1000

    def header_us(self) -> int:
        """A std_msgs/Header; gives its stamp, microseconds."""
        if not self.is_cdr:
            self.number("I")
        stamp_us = self.stamp_us()
        self.text()
        return stamp_us


@dataclass(frozen=True)
class EncodedPacket:
    """event_camera_msgs/EventPacket."""

    size: SensorSize
    time_base_ns: int
    encoding: str
    data: bytes


def read_size(cursor: Cursor) -> SensorSize:
    """The size that begins an EventPacket or EventArray, after the header."""
    cursor.header_us()
    height, width = cursor.number("I"), cursor.number("I")
    return SensorSize(width, height)


def read_event_packet(cursor: Cursor) -> EncodedPacket:
    """Parse an event_camera_msgs/EventPacket."""
    size = read_size(cursor)
    cursor.number("Q")
    time_base_ns = cursor.number("Q")
    encoding = cursor.text()
    cursor.number("B")
    return EncodedPacket(size, time_base_ns, encoding, cursor.array())


def read_event_array(cursor: Cursor) -> EventArray:
    """Parse a dvs_msgs/EventArray."""
    read_size(cursor)
    n_events = cursor.number("I")
    if not cursor.is_cdr:
        records = np.frombuffer(cursor.raw(n_events * _ROS1_EVENT.itemsize), _ROS1_EVENT)
        return _timed(records["x"], records["y"], records["s"], records["ns"], records["on"])
    return _cdr_events(cursor.data, cursor.at, n_events)


def _cdr_events(data: bytes, start: int, n_events: int) -> EventArray:
    """Events in CDR.

    Times and polarities lie 16 bytes apart. x and y need to lie only at even places: those of
    the first event directly before its time, those of later ones directly after the polarity.
    """
    n_bytes = 16 * (n_events - 1) + 13 if n_events else 0
    if start + n_bytes > len(data):
        raise MessageError("it ends inside its events")
    padded = np.zeros(16 * n_events, np.uint8)
    padded[:n_bytes] = np.frombuffer(data, np.uint8, n_bytes, start)
    rows = padded.reshape(n_events, 16)
    words = rows.view("<u4")
    x, y = np.zeros(n_events, np.uint16), np.zeros(n_events, np.uint16)
    if n_events:
        x[0], y[0] = rows[0, :4].view("<u2")
        x[1:] = np.ascontiguousarray(rows[:-1, 14:16]).view("<u2")[:, 0]
        y[1:] = np.ascontiguousarray(rows[1:, :2]).view("<u2")[:, 0]
    return _timed(x, y, words[:, 1], words[:, 2], rows[:, 12])


def _timed(
    x: npt.NDArray[np.uint16],
    y: npt.NDArray[np.uint16],
    seconds: npt.NDArray[np.uint32],
    nanoseconds: npt.NDArray[np.uint32],
    on: npt.NDArray[np.uint8],
) -> EventArray:
    times = seconds.astype(np.int64) * 1_000_000 + nanoseconds // 1000
    return as_events(times, x, y, on)


def decode_mono(packet: EncodedPacket) -> EventArray:
    """The encoding ``mono``: 63 polarity, 48-62 y, 32-47 x, 0-31 time since the base, ns."""
    if len(packet.data) % _MONO_EVENT.itemsize:
        raise MessageError("it ends inside an event")
    words = np.frombuffer(packet.data, _MONO_EVENT)
    times = (words & np.uint64(0xFFFFFFFF)).astype(np.int64) + packet.time_base_ns
    x = (words >> np.uint64(32)) & np.uint64(0xFFFF)
    y = (words >> np.uint64(48)) & np.uint64(0x7FFF)
    return as_events(times // 1000, x, y, words >> np.uint64(63))


def read_image(cursor: Cursor) -> TimedImage | None:
    """Parse a sensor_msgs/Image; None if it is not of 8-bit grey."""
    t_us = cursor.header_us()
    height, width = cursor.number("I"), cursor.number("I")
    encoding = cursor.text()
    cursor.number("B")
    step = cursor.number("I")
    data = cursor.array()
    if encoding not in ("mono8", "8UC1"):
        return None
    if step < width or len(data) != step * height:
        raise MessageError(f"its {len(data)} bytes are not those of {width}x{height} pixels")
    pixels = np.frombuffer(data, np.uint8).reshape(height, step)[:, :width]
    return TimedImage(t_us, np.array(pixels))
