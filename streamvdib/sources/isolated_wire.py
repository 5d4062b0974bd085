"""What a reader in a child process says to its parent: frames of one kind byte and a length.

    D  description, JSON: name, format, sensor size
    P  packet: end_us i64, n_events u64, n_images u32, events; per image t_us i64, height u32,
       width u32, pixels
    E  error, JSON: class, message       Z  end, JSON: counters

Nothing is pickled. What the child says is checked before memory is taken for it.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from streamvdib import errors
from streamvdib.errors import RecordingError, StreamVdibError
from streamvdib.events import EVENT_DTYPE, EventPacket, TimedImage

FRAME = struct.Struct("<cQ")
MAX_FRAME_BYTES = 1 << 30
_PACKET = struct.Struct("<qQI")
_IMAGE = struct.Struct("<qII")


def frame(kind: bytes, body: bytes) -> bytes:
    """One frame."""
    return FRAME.pack(kind, len(body)) + body


def json_frame(kind: bytes, value: object) -> bytes:
    """A frame with a JSON body."""
    return frame(kind, json.dumps(value).encode())


def packet_frame(packet: EventPacket) -> bytes:
    """A frame with a packet."""
    parts = [_PACKET.pack(packet.end_us, len(packet.events), len(packet.images))]
    parts.append(packet.events.tobytes())
    for image in packet.images:
        parts.append(_IMAGE.pack(image.t_us, *image.pixels.shape))
        parts.append(image.pixels.tobytes())
    return frame(b"P", b"".join(parts))


def read_packet(body: bytes) -> EventPacket:
    """The packet in a frame's body.

    Raises:
        ValueError: lengths do not fit the body.
    """
    try:
        end_us, n_events, n_images = _PACKET.unpack_from(body)
        at = _PACKET.size + n_events * EVENT_DTYPE.itemsize
        events = np.frombuffer(body, EVENT_DTYPE, n_events, _PACKET.size)
        images = []
        for _ in range(n_images):
            t_us, height, width = _IMAGE.unpack_from(body, at)
            at += _IMAGE.size
            pixels = np.frombuffer(body, np.uint8, height * width, at).reshape(height, width)
            images.append(TimedImage(t_us, pixels))
            at += height * width
    except struct.error as error:
        raise ValueError(str(error)) from error
    if at != len(body):
        raise ValueError(f"{len(body) - at} bytes too many")
    return EventPacket(events, end_us, tuple(images))


def error_frame(error: BaseException) -> bytes:
    """A frame that tells an error."""
    if isinstance(error, StreamVdibError):
        extra = getattr(error, "extra", None)
        return json_frame(
            b"E", {"class": type(error).__name__, "message": str(error), "extra": extra}
        )
    text = str(error) or type(error).__name__
    return json_frame(b"E", {"class": "RecordingError", "message": f"the reader failed: {text}"})


def read_error(body: dict[str, Any]) -> StreamVdibError:
    """The error in a frame's body, of the class that it names."""
    kind = getattr(errors, str(body.get("class")), RecordingError)
    if not (isinstance(kind, type) and issubclass(kind, StreamVdibError)):
        kind = RecordingError
    error: StreamVdibError = kind.__new__(kind)
    error.args = (str(body.get("message")),)
    if body.get("extra") is not None:
        error.extra = str(body["extra"])  # type: ignore[attr-defined]
    return error
