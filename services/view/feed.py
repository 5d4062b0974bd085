"""What the page is shown: the newest of everything, and events drawn as a picture.

Memory: per stream one frame, one picture of events, and its figures.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bounds import pack
from ..client import AsyncFrameClient
from ..tracking import Received
from .settings import ViewSettings

KINDS = ("frame", "events", "stats")
_NO_EVENT = 128
_DECAY = 0.6  # of the picture from one refresh to the next


class EventPicture:
    """Recent events as a picture: ON bright, OFF dark, fading. Memory: one byte per pixel."""

    def __init__(self, height: int, width: int) -> None:
        self._level = np.zeros((height, width), dtype=np.float32)  # -1 OFF, +1 ON
        self.n_events = 0

    def add(self, events: npt.NDArray[Any]) -> None:
        """Draw events that lie on the sensor."""
        height, width = self._level.shape
        inside = events[(events["x"] < width) & (events["y"] < height)]
        self._level[inside["y"], inside["x"]] = np.where(inside["on"], 1.0, -1.0)
        self.n_events += len(inside)

    def render(self) -> npt.NDArray[np.uint8]:
        """The picture, (height, width), and let it fade."""
        picture = (_NO_EVENT + 127 * self._level).astype(np.uint8)
        self._level *= _DECAY
        return picture


class PageFeed:
    """Follows one service and packs what has changed for the page.

    Every message is ``[length of header, u32 little-endian][msgpack header][pixels]``; the
    header's ``kind`` is ``frame`` or ``events`` (pixels are bytes) or ``stats``.
    """

    def __init__(self, settings: ViewSettings) -> None:
        self.client = AsyncFrameClient(
            settings.data,
            kinds=KINDS,
            newest=False,
            queue=1000,
            server_key=settings.server_key,
            keys=settings.keys,
        )
        self._frames: dict[str, Received] = {}
        self._pictures: dict[str, EventPicture] = {}
        self._stats: dict[str, dict[str, Any]] = {}
        self._fresh: set[tuple[str, str]] = set()

    async def follow(self) -> None:
        """Take in messages for ever; only the newest of each is kept."""
        while True:
            self.take(await self.client.receive())

    def take(self, message: Received) -> None:
        """Remember one message."""
        stream, kind = message.header.stream, message.header.kind
        if kind == "frame" and message.pixels.ndim == 2:
            self._frames[stream] = message
        elif kind == "events":
            self._picture(stream).add(message.values)
        elif kind == "stats":
            self._stats[stream] = dict(message.figures)
        else:
            return
        self._fresh.add((kind, stream))

    def changed(self) -> list[bytes]:
        """What has changed since the last call, packed for the page."""
        fresh, self._fresh = sorted(self._fresh), set()
        return [self._packed(kind, stream) for kind, stream in fresh]

    def health(self) -> bytes:
        """The state of the service and of this subscriber."""
        tracker = self.client.tracker
        latency = tracker.latency.percentiles_us()
        return _message(
            {
                "kind": "health",
                "state": tracker.state,
                "missed": tracker.n_missed,
                "restarts": tracker.n_restarts,
                "latency_us": latency,
                "streams": sorted(tracker.description),
            }
        )

    def _picture(self, stream: str) -> EventPicture:
        if stream not in self._pictures:
            sensor = self.client.tracker.description.get(stream, {}).get("sensor", [64, 64])
            self._pictures[stream] = EventPicture(int(sensor[1]), int(sensor[0]))
        return self._pictures[stream]

    def _packed(self, kind: str, stream: str) -> bytes:
        if kind == "stats":
            return _message({"kind": kind, "stream": stream, "figures": self._stats[stream]})
        if kind == "events":
            picture = self._picture(stream)
            return _image(kind, stream, picture.render(), {"n_events": picture.n_events})
        message = self._frames[stream]
        header = message.header
        about = {"step": header.step, "end_us": header.end_us, "latency_us": message.latency_us}
        return _image(kind, stream, _as_bytes(message.pixels), about)


def _as_bytes(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    return np.asarray(np.clip(pixels, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _image(kind: str, stream: str, pixels: npt.NDArray[np.uint8], about: dict[str, Any]) -> bytes:
    height, width = pixels.shape
    header = {"kind": kind, "stream": stream, "height": height, "width": width, **about}
    return _message(header, pixels.tobytes())


def _message(header: dict[str, Any], payload: bytes = b"") -> bytes:
    packed = pack(header)
    return struct.pack("<I", len(packed)) + packed + payload
