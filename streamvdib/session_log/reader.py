"""Reads a session log: files in order, each an unbroken section, as far as it is whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamvdib.disk import Disk, RealDisk
from streamvdib.errors import RecordingError
from streamvdib.session_log.records import MAGIC, Kind, Record, table_from, unpack

_NAME = re.compile(r"session-(\d{10,})\.svlog")


def log_name(number: int) -> str:
    """The name of file ``number`` of a log."""
    return f"session-{number:010d}.svlog"


def log_files(names: Iterable[str]) -> list[int]:
    """Numbers of the log's files among these names, in order."""
    return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))


class LogReader:
    """The records of one file. Memory: the file.

    ``ended`` says, after iterating, how it ended: "closed", "rotated or interrupted", "cut off at
    byte N", or the damage that was met. What comes before is whole.

    Raises:
        RecordingError: the file cannot be read, or is no session log of this version.
    """

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self.path, self.ended = path, "not read yet"
        try:
            self._data = memoryview((disk or RealDisk()).read(path))
        except OSError as error:
            raise RecordingError(f"{path} must be readable; {error.strerror or error}") from error
        head = bytes(self._data[: len(MAGIC)])
        if head[:-1] == MAGIC[:-1] and head != MAGIC:
            raise RecordingError(
                f"{path} has log version {head[-1]}, and this streamvdib reads {MAGIC[-1]}: "
                "a newer streamvdib wrote it."
            )
        if head != MAGIC:
            raise RecordingError(f"{path} must be a session log; it begins with {head!r}")

    def __iter__(self) -> Iterator[Record]:
        """Records in order, up to the first that is not whole."""
        offset, last = len(MAGIC), None
        while offset < len(self._data):
            try:
                found = unpack(self._data, offset)
            except RecordingError as error:
                self.ended = str(error)
                return
            if found is None:
                self.ended = f"cut off at byte {offset}"
                return
            last, offset = found
            yield last
        closed = last is not None and last.kind is Kind.END
        self.ended = "closed" if closed else "rotated or interrupted"


@dataclass(frozen=True)
class Section:
    """One unbroken piece of a session, in one file."""

    about: dict[str, Any]  # how the engine was made
    state: bytes  # a checkpoint file
    records: Iterator[Record]  # what followed
    reader: LogReader


def sections(
    path: Path, disk: Disk | None = None, passed_over: list[str] | None = None
) -> Iterator[Section]:
    """The sections of a log, oldest first.

    Args:
        path: a log's folder, or one of its files.
        disk: where files come from.
        passed_over: takes a line for every file of a folder that was cut off while it was begun.

    Raises:
        RecordingError: there is none, or one does not begin as it should.
    """
    disk = disk or RealDisk()
    try:
        numbers = log_files(disk.names(path))
        files = [path / log_name(number) for number in numbers]
    except NotADirectoryError:
        files = [path]
    except OSError as error:
        raise RecordingError(f"{path} must be readable; {error.strerror or error}") from error
    if not files:
        raise RecordingError(f"{path} must hold session-*.svlog; there is none")
    for file in files:
        reader = LogReader(file, disk)
        records = iter(reader)
        start, state = next(records, None), next(records, None)
        if start is None or state is None:
            if file != path and reader.ended.startswith("cut off"):
                if passed_over is not None:
                    passed_over.append(f"{file.name}: {reader.ended} while it was begun")
                continue
            raise RecordingError(f"{file} must begin with START and STATE; {reader.ended}")
        if (start.kind, state.kind) != (Kind.START, Kind.STATE):
            raise RecordingError(f"{file} must begin with START and STATE; got {start.kind.name}")
        yield Section(table_from(start.payload), state.payload, records, reader)
