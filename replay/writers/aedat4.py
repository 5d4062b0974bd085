"""AEDAT4, by dv-processing: events, and the sensor's own frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streamvdib.errors import MissingExtraError, SinkError
from streamvdib.events import EventArray, EventPacket, SensorSize

from .files import create_exclusively


class Aedat4Writer:
    """An AEDAT4 file. Memory: one packet; the index grows by 40 bytes per packet written."""

    def __init__(self, path: Path, sensor_size: SensorSize, *, origin_us: int | None = 0) -> None:
        try:
            import dv_processing
        except ImportError as error:
            raise MissingExtraError(
                "writing AEDAT4", extra="aedat4", missing="dv-processing"
            ) from error
        self.path = path
        self.n_events = 0
        self._origin_us = origin_us
        self._dv = dv_processing
        self._lock = create_exclusively(path)
        config = dv_processing.io.MonoCameraWriter.Config("streamvdib")
        config.addEventStream(tuple(sensor_size))
        config.addFrameStream(tuple(sensor_size))
        try:
            self._writer: Any = dv_processing.io.MonoCameraWriter(str(path), config)
        except RuntimeError as error:
            self._lock.close()
            raise SinkError(f"{path}: the file must be writable; {error}") from error

    def write(self, packet: EventPacket) -> None:
        """Append one packet and its images."""
        if self._writer is None:
            raise SinkError(f"{self.path}: events must be written before the file is closed")
        try:
            if len(packet.events):
                if self._origin_us is None:
                    self._origin_us = int(packet.events["t_us"][0])
                self._writer.writeEvents(as_event_store(packet.events, self._origin_us))
            for image in packet.images:
                frame = self._dv.Frame(image.t_us - (self._origin_us or 0), image.pixels)
                self._writer.writeFrame(frame)
        except RuntimeError as error:
            raise SinkError(f"{self.path}: the disk must take the events; {error}") from error
        self.n_events += len(packet.events)

    def flush(self) -> None:
        """The library decides when to write; only ``close`` makes the file whole."""

    def close(self) -> None:
        """Write the index and close."""
        self._writer = None
        self._lock.close()


def as_event_store(events: EventArray, origin_us: int = 0) -> Any:
    """Events as dv-processing has them; it raises on times that run back."""
    import dv_processing

    store = dv_processing.EventStore()
    push = store.push_back
    columns = (
        (events["t_us"] - origin_us).tolist(),
        events["x"].tolist(),
        events["y"].tolist(),
        events["on"].tolist(),
    )
    for t_us, x, y, on in zip(*columns, strict=True):
        push(t_us, x, y, on)
    return store
