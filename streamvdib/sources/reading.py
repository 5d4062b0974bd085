"""Reads a file in order, with the offset at hand for messages; gzip is unpacked on the way.

Offsets count unpacked bytes. Memory: what one ``read`` was asked for.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, SupportsInt, cast

from streamvdib.errors import RecordingError, TruncatedRecordingError

CHUNK_BYTES = 1 << 20
_PIECE_BYTES = 1 << 24
REMEDY = "Record or copy it again, or read it with lenient=True (--lenient)"
_GZIP_MAGIC = b"\x1f\x8b"


class ByteStream:
    """A file, read once from front to back.

    Args:
        file: what to read from; closed by its owner.
        name: for messages.
        lenient: damaged gzip data ends the file instead of raising.
    """

    def __init__(self, file: BinaryIO, name: str, *, lenient: bool = False) -> None:
        self.name = name
        self.offset = 0
        self._file = file
        self._lenient = lenient
        self._pushed_back = b""

    def read(self, n_bytes: int) -> bytes:
        """The next ``n_bytes`` bytes; fewer only at the end of the file."""
        data = self._pushed_back[:n_bytes]
        self._pushed_back = self._pushed_back[n_bytes:]
        if len(data) < n_bytes:
            data += self._read_file(n_bytes - len(data), self.offset + len(data))
        self.offset += len(data)
        return data

    def push_back(self, data: bytes) -> None:
        """Return the bytes read last, to be read again."""
        self._pushed_back = data + self._pushed_back
        self.offset -= len(data)

    def read_line(self, limit: int) -> bytes:
        """The next line with its line feed, or at most ``limit`` bytes of it."""
        data = self.read(limit)
        end = data.find(b"\n") + 1
        if 0 < end < len(data):
            self.push_back(data[end:])
            return data[:end]
        return data

    def _read_file(self, n_bytes: int, offset: int) -> bytes:
        pieces: list[bytes] = []
        try:
            while n_bytes > 0:  # a length may be a lie: memory is taken for what is there
                piece = self._file.read(min(n_bytes, _PIECE_BYTES)) or b""
                if not piece:
                    break
                pieces.append(piece)
                n_bytes -= len(piece)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            if self._lenient:
                return b"".join(pieces)
            end = offset + sum(map(len, pieces))
            raise TruncatedRecordingError(
                f"{self.name}: gzip data must be whole; it is damaged after byte {end} of "
                f"the unpacked data ({error}). {REMEDY}."
            ) from error
        except OSError as error:
            raise RecordingError(
                f"{self.name}: must be readable; failed at byte {offset}: {error}"
            ) from error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


@contextmanager
def open_stream(path: Path, *, lenient: bool = False) -> Iterator[ByteStream]:
    """Open a file, packed with gzip or not, for reading from front to back."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise RecordingError(f"{path}: a recording must be readable; {error}") from error
    with file:
        packed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        if packed:
            with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                yield ByteStream(as_binary(_Tolerant(unpacked)), str(path), lenient=lenient)
        else:
            yield ByteStream(file, str(path), lenient=lenient)


class _Tolerant(io.RawIOBase):
    """Hands over what was unpacked before the damage, and raises only after it."""

    _PIECE = 1 << 16

    def __init__(self, unpacked: gzip.GzipFile) -> None:
        self._unpacked = unpacked
        self._error: Exception | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        pieces: list[bytes] = []
        missing = size
        while missing and self._error is None:
            try:
                piece = self._unpacked.read1(min(missing, self._PIECE))
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                self._error = error
                break
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
        if self._error is not None and not pieces:
            raise self._error
        return b"".join(pieces)


def read_records(
    stream: ByteStream,
    record_bytes: int,
    counters: MutableMapping[str, int],
    *,
    lenient: bool,
    chunk_bytes: int = CHUNK_BYTES,
) -> Iterator[tuple[int, bytes]]:
    """Cut the rest of a stream into chunks of whole records of one size.

    Yields:
        The offset of a chunk and its bytes.

    Raises:
        TruncatedRecordingError: the stream ends inside a record, unless ``lenient``, which
            counts ``truncated_bytes``.
    """
    chunk_bytes -= chunk_bytes % record_bytes
    while True:
        offset = stream.offset
        data = stream.read(chunk_bytes)
        excess = len(data) % record_bytes
        if len(data) > excess:
            yield offset, data[: len(data) - excess] if excess else data
        if excess:
            end = offset + len(data)
            truncated(stream.name, end - excess, excess, record_bytes, counters, lenient=lenient)
        if len(data) < chunk_bytes:
            return


def truncated(
    name: str,
    offset: int,
    n_bytes: int,
    record_bytes: int,
    counters: MutableMapping[str, int],
    *,
    lenient: bool,
) -> None:
    """Say that a recording ends inside a record, or count it.

    Args:
        name: of the recording.
        offset: where the last, incomplete record begins.
        n_bytes: how much of it there is.
        record_bytes: how much there should be.
        counters: ``truncated_bytes`` is raised when ``lenient``.
        lenient: count instead of raising.
    """
    if not lenient:
        raise TruncatedRecordingError(
            f"{name}: must end with a whole record of {record_bytes} bytes; the one at byte "
            f"{offset} has {n_bytes}. {REMEDY}, which drops the rest and counts it."
        )
    count(counters, "truncated_bytes", n_bytes)


def count(counters: MutableMapping[str, int], cause: str, n: SupportsInt) -> None:
    """Add to a counter; a cause that never occurred is absent."""
    if int(n):
        counters[cause] = counters.get(cause, 0) + int(n)


def as_binary(file: object) -> BinaryIO:
    """A raw reader where a buffered one is expected; only ``read`` is used."""
    return cast("BinaryIO", file)
