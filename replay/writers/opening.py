"""Opens a file to write events to, in the format that its name asks for."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Protocol

from streamvdib.errors import ConfigurationError
from streamvdib.events import EventPacket, SensorSize

from .files import FileWriter

ENCODERS: dict[str, str] = {
    ".aedat4": "aedat4",
    ".svr": "chunked",
    ".es": "event_stream",
    ".raw": "evt3",
    ".npy": "numpy_file",
    ".csv": "text",
    ".txt": "text",
    ".bin": "atis40",
}
"""Suffix -> module of this package with an ``Encoder(sensor_size)``."""


class EventWriter(Protocol):
    """A file that packets of events are appended to, in order of time."""

    n_events: int  # written so far

    def write(self, packet: EventPacket) -> None:
        """Append one packet; ``SinkError`` if the disk refuses, what is there stays valid."""

    def flush(self) -> None:
        """What was written is on the disk when this returns."""

    def close(self) -> None:
        """Complete the file; safe to call twice."""


def can_write(path: str | os.PathLike[str]) -> bool:
    """Whether a file's suffix names a format."""
    return Path(path).suffix.lower() in ENCODERS


def open_writer(
    path: str | os.PathLike[str], sensor_size: SensorSize, *, origin_us: int | None = 0
) -> EventWriter:
    """Create a file of events.

    Args:
        path: its suffix is the format: .aedat4, .svr, .es, .raw (EVT3), .npy, .csv, .txt,
            .bin (ATIS, 40 bits). An existing file is replaced.
        sensor_size: of the events.
        origin_us: is subtracted from all times; None is the time of the first event.

    Raises:
        ConfigurationError: no format has that suffix, or it cannot hold that sensor.
        SinkError: the file cannot be created, or another writer has it.
        MissingExtraError: the format needs a package that is not installed.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix not in ENCODERS:
        raise ConfigurationError(
            f"{file}: a file of events must end in {', '.join(ENCODERS)}; "
            f"got {suffix or 'no suffix'}"
        )
    module = importlib.import_module(f".{ENCODERS[suffix]}", __package__)
    return FileWriter(file, module.Encoder(sensor_size), origin_us=origin_us)
