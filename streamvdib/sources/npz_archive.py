"""The members of a .npz archive as streams."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from streamvdib.errors import RecordingError
from streamvdib.events import SensorSize
from streamvdib.sources.npy_stream import NpyStream
from streamvdib.sources.reading import REMEDY, ByteStream, as_binary

_MAX_SCALARS = 8


@contextmanager
def open_npz(path: Path, name: str) -> Iterator[tuple[dict[str, NpyStream], SensorSize | None]]:
    """The arrays of an archive by name, and the sensor's size if it is among them.

    Args:
        path: of the archive.
        name: of the recording, for messages.

    Raises:
        RecordingError: it is no whole archive.
    """
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
            streams = {}
            for member in archive.namelist():
                if member.endswith(".npy"):
                    file = _Member(as_binary(stack.enter_context(archive.open(member))))
                    stream = ByteStream(as_binary(file), f"{name}, {member}")
                    with suppress(RecordingError):  # one of no events: those needed are missed
                        streams[member.removesuffix(".npy")] = NpyStream(stream)
        except Exception as error:  # zipfile passes on whatever damage makes it meet
            raise RecordingError(
                f"{name}, byte {path.stat().st_size}: a .npz archive must end with its table; "
                f"{error}. "
                f"{REMEDY}."
            ) from error
        size = _stated_size(streams)
        yield streams, size


class _Member(io.RawIOBase):
    """A member whose damage is told as an end of data is by gzip."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except Exception as error:
            raise OSError(f"the archive is damaged ({error})") from error


def _stated_size(streams: dict[str, NpyStream]) -> SensorSize | None:
    """``sensor_size`` or ``width`` and ``height``, which are read here."""
    values: list[int] = []
    keys = ("sensor_size",) if "sensor_size" in streams else ("width", "height")
    for key in keys:
        stream = streams.get(key)
        if stream is None or stream.dtype.kind not in "iu":
            return None
        values.extend(int(value) for value in stream.read(_MAX_SCALARS, {}, lenient=True).ravel())
    if len(values) != 2 or not all(0 < value <= 1 << 15 for value in values):
        return None
    return SensorSize(*values)
