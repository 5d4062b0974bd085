"""AEDAT4 by hand: events, and the sensor's own frames, in packets that are appended.

The layout is that which ``streamvdib.sources.aedat4_container`` and ``aedat4_packets`` read.
Flatbuffers are written from templates, for their tables are always the same. The table of packets
at the end of DV's own files is left out, as of a recording that was never closed: readers find
the packets one after the other, and a crash costs nothing that was written.
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

import numpy as np

from streamvdib.errors import MissingExtraError
from streamvdib.events import EventArray, EventPacket, SensorSize, TimedImage

from .encoder import check_fits

LARGEST = SensorSize(32767, 32767)
MAX_PACKET_EVENTS = 1 << 20
_EVENT = np.dtype(
    {
        "names": ["t_us", "x", "y", "on"],
        "formats": ["<i8", "<i2", "<i2", "i1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": 16,
    }
)
_LZ4, _NO_TABLE = 1, -1
_EVENTS, _FRAMES = 0, 1
_HEADER = struct.Struct("<I4s6x5HiiIqI")
_HEADER_FIELDS = (10, 20, 4, 12, 8)  # bytes of list and table; where the fields lie
_EVENT_TABLE = struct.Struct("<I4s2x3HiII")
_FRAME_TABLE = struct.Struct("<I4s6x13HiHHI5q4xI")
_FRAME_FIELDS = (26, 56, 12, 20, 28, 36, 44, 0, 4, 6, 0, 0, 8)
_STREAM = """
        <node name="{number}" path="/mainloop/Recorder/outInfo/{number}/">
            <attr key="compression" type="string">LZ4</attr>
            <attr key="originalModuleName" type="string">streamvdib</attr>
            <attr key="originalOutputName" type="string">{name}</attr>
            <attr key="typeDescription" type="string">{name}</attr>
            <attr key="typeIdentifier" type="string">{kind}</attr>
            <node name="info" path="/mainloop/Recorder/outInfo/{number}/info/">
                <attr key="sizeX" type="int">{size.width}</attr>
                <attr key="sizeY" type="int">{size.height}</attr>
                <attr key="source" type="string">streamvdib</attr>
            </node>
        </node>"""


class Encoder:
    """AEDAT4 files packed with LZ4.

    Raises:
        MissingExtraError: the package lz4 is not installed.
    """

    def __init__(self, sensor_size: SensorSize) -> None:
        try:
            import lz4.frame
        except ImportError as error:
            raise MissingExtraError("writing AEDAT4", extra="aedat4", missing="lz4") from error
        check_fits(sensor_size, LARGEST, "AEDAT4")
        self._sensor_size = sensor_size
        self._pack: Any = lz4.frame.compress

    def header(self) -> bytes:
        """Version, and a flatbuffer that describes two streams."""
        streams = "".join(
            _STREAM.format(number=number, name=name, kind=kind, size=self._sensor_size)
            for number, name, kind in ((_EVENTS, "events", "EVTS"), (_FRAMES, "frames", "FRME"))
        )
        text = (
            f'<dv version="2.0">\n    <node name="outInfo" path="/mainloop/Recorder/outInfo/">'
            f"{streams}\n    </node>\n</dv>\n"
        ).encode()
        fixed = _HEADER.pack(24, b"IOHE", *_HEADER_FIELDS, 10, _LZ4, 12, _NO_TABLE, len(text))
        end = b"\0" * (4 - len(text) % 4)
        return b"#!AER-DAT4.0\r\n" + _sized(fixed + text + end)

    def encode(self, packet: EventPacket) -> bytes:
        """A packet of events, and one for each image."""
        data = []
        for start in range(0, len(packet.events), MAX_PACKET_EVENTS):
            piece = packet.events[start : start + MAX_PACKET_EVENTS]
            data.append(self._packet(_EVENTS, _event_table(piece)))
        data += [self._packet(_FRAMES, _frame_table(image)) for image in packet.images]
        return b"".join(data)

    def finish(self, file: BinaryIO) -> None:
        """Nothing is missing."""

    def _packet(self, stream: int, table: bytes) -> bytes:
        packed: bytes = self._pack(table, store_size=False)  # as DV does
        return struct.pack("<II", stream, len(packed)) + packed


def _sized(flatbuffer: bytes) -> bytes:
    return struct.pack("<I", len(flatbuffer)) + flatbuffer


def _event_table(events: EventArray) -> bytes:
    records = np.zeros(len(events), dtype=_EVENT)
    for name in ("t_us", "x", "y", "on"):
        records[name] = events[name]
    return _sized(_EVENT_TABLE.pack(16, b"EVTS", 6, 8, 4, 6, 4, len(events)) + records.tobytes())


def _frame_table(image: TimedImage) -> bytes:
    height, width = image.pixels.shape
    times = (image.t_us,) * 5
    table = _FRAME_TABLE.pack(
        40, b"FRME", *_FRAME_FIELDS, 26, width, height, 48, *times, image.pixels.size
    )
    return _sized(table + image.pixels.tobytes())
