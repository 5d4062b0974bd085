"""The file below an encoder: one writer at a time, and errors that say what is lost."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import BinaryIO

from streamvdib.errors import SinkError
from streamvdib.events import EventPacket, TimedImage

from .encoder import Encoder


class FileWriter:
    """Appends what an encoder makes of packets. Memory: one packet's bytes."""

    def __init__(self, path: Path, encoder: Encoder, *, origin_us: int | None = 0) -> None:
        """Create the file; ``origin_us`` is subtracted, None is the time of the first event."""
        self.path = path
        self.n_events = 0
        self._encoder = encoder
        self._origin_us = origin_us
        self._file: BinaryIO | None = create_exclusively(path)
        try:
            self._append(encoder.header())
        except SinkError:
            self._file.close()
            raise

    def write(self, packet: EventPacket) -> None:
        """Append one packet, whole or, if the disk is full, not at all."""
        if self._origin_us is None and len(packet.events):
            self._origin_us = int(packet.events["t_us"][0])
        if self._origin_us:
            packet = earlier(packet, self._origin_us)
        self._append(self._encoder.encode(packet))
        self.n_events += len(packet.events)

    def flush(self) -> None:
        """Force what was written to the disk."""
        if self._file is not None:
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                raise self._refusal(error) from error

    def close(self) -> None:
        """Complete the file and give up the lock on it."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            self._encoder.finish(file)
            os.fsync(file.fileno())
        except OSError as error:
            raise self._refusal(error) from error
        finally:
            file.close()

    def _append(self, data: bytes) -> None:
        """Write all of ``data``; take back what was written of it if there is no room."""
        if self._file is None:
            raise SinkError(f"{self.path}: events must be written before the file is closed")
        start = self._file.tell()
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.seek(start)
                self._file.truncate()
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> SinkError:
        return SinkError(
            f"{self.path}: the disk must take the events; {error.strerror or error}. The "
            f"{self.n_events} events written before are whole. Free some space, or record "
            "elsewhere."
        )


def earlier(packet: EventPacket, by_us: int) -> EventPacket:
    """A packet with all its times less by ``by_us``."""
    events = packet.events.copy()
    events["t_us"] -= by_us
    images = tuple(TimedImage(image.t_us - by_us, image.pixels) for image in packet.images)
    return EventPacket(events, packet.end_us - by_us, images)


def create_exclusively(path: Path) -> BinaryIO:
    """An empty file that no other writer of this project has open.

    Raises:
        SinkError: it cannot be created, or another writer holds it.
    """
    try:
        file = open(path, "ab", buffering=0)  # noqa: SIM115 - closed by its owner
    except OSError as error:
        raise SinkError(f"{path}: the file must be writable; {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise SinkError(
            f"{path}: a file can have one writer; another one is writing to it. "
            "Choose another name, or stop the other one."
        ) from error
    with contextlib.suppress(OSError):  # what is no file has no length
        file.truncate(0)
    return file
