"""Files for libraries that read only plain files of a certain name: unpacked, linked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamvdib.sources.reading import CHUNK_BYTES, open_stream

_GZIP_MAGIC = b"\x1f\x8b"


def is_packed(path: Path) -> bool:
    """Whether a file is packed with gzip."""
    if path.is_dir():
        return False
    with path.open("rb") as file:
        return file.read(2) == _GZIP_MAGIC


@contextmanager
def named(path: Path, suffix: str) -> Iterator[Path]:
    """The file under a name with ``suffix``, if it must have one: itself, or a temporary link."""
    if path.suffix == suffix or not suffix:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="streamvdib-") as folder:
        link = Path(folder) / f"recording{suffix}"
        link.symlink_to(path.resolve())
        yield link


@contextmanager
def plain_file(path: Path, *, suffix: str = "", lenient: bool = False) -> Iterator[Path]:
    """The file itself if it is not packed, else an unpacked copy that is removed afterwards.

    With a ``suffix`` that is not the file's, a temporary link to it that has the suffix.

    Args:
        path: of the recording.
        suffix: what the copy's name must end with.
        lenient: take as much of damaged gzip data as can be unpacked.
    """
    if not is_packed(path):
        with named(path, suffix) as link:
            yield link
        return
    with tempfile.NamedTemporaryFile(prefix="streamvdib-", suffix=suffix) as copy:
        with open_stream(path, lenient=lenient) as stream:
            while data := stream.read(CHUNK_BYTES):
                copy.write(data)
        copy.flush()
        yield Path(copy.name)
