"""The files of a session's log, one after the other; the oldest are deleted."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from streamvdib.disk import Disk
from streamvdib.session_log.reader import log_files, log_name
from streamvdib.session_log.records import MAGIC, Kind, pack


class LogFiles:
    """Writes records into the newest of at most ``max_files`` files. Memory: one record.

    Args:
        folder: of the files.
        disk: where they go.
        max_files: the oldest beyond these are deleted.
        number: of the newest file that is there; 0: none is.
    """

    def __init__(self, folder: Path, disk: Disk, max_files: int, number: int) -> None:
        self.folder, self.max_files, self.number = folder, max_files, number
        self.n_records = 0
        self.n_bytes = 0  # of the file that is being written; 0: none is
        self._disk = disk
        self._path: Path | None = None

    def begin(self, start: bytes, state: bytes) -> None:
        """Begin a file with these two payloads; ``OSError`` where the disk fails."""
        self.sync()
        self.leave()
        self.number += 1
        path = self.folder / log_name(self.number)
        self._make_room()
        data = MAGIC + pack(Kind.START, start) + pack(Kind.STATE, state)
        try:
            self._disk.write(path, data)
        except OSError:
            with suppress(OSError):
                self._disk.remove(path)
            raise
        self._disk.sync_folder(self.folder)
        self._path, self.n_bytes = path, len(data)
        self.n_records += 2

    def append(self, kind: Kind, payload: bytes) -> None:
        """Compress and write one record, if a file was begun; ``OSError`` if the disk fails."""
        if self._path is None:
            return
        record = pack(kind, payload)
        self._disk.append(self._path, record)
        self.n_bytes += len(record)
        self.n_records += 1

    def sync(self) -> None:
        """Have what was written survive a loss of power."""
        if self._path is not None:
            self._disk.sync(self._path)

    def leave(self) -> None:
        """Write nothing more into this file."""
        self._path, self.n_bytes = None, 0

    def _make_room(self) -> None:
        """Delete the oldest files first: the log stays bounded however often writing fails."""
        with suppress(OSError):
            numbers = log_files(self._disk.names(self.folder))
            for number in numbers[: max(0, len(numbers) + 1 - self.max_files)]:
                self._disk.remove(self.folder / log_name(number))
