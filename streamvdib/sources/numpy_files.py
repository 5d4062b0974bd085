"""NumPy files, read in pieces: .npy and .npz.

A .npy file holds a structured array with fields such as t, x, y, p, or a plain array of shape
(n_events, 4) with the columns of the option ``columns``; else t x y p, x y t p or x y p t, of
which the first is taken that the first events do not contradict. A .npz file holds one
such array, or one array per column; ``sensor_size`` (width, height), or ``width`` and ``height``,
may stand beside them. Times are in the option's ``time_unit``, in the unit their name ends with,
in seconds if they have fractions, else in microseconds.

Nothing pickled is ever loaded. Without a size, the sensor is the smallest known one on which the
first 65,536 events fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from streamvdib.errors import RecordingError
from streamvdib.events import SensorSize, empty_events
from streamvdib.sources.npy_stream import NpyStream
from streamvdib.sources.npz_archive import open_npz
from streamvdib.sources.numpy_tables import Table, table_of
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block
from streamvdib.sources.reading import open_stream
from streamvdib.sources.recording import Recording
from streamvdib.sources.sensor_sizes import smallest_for
from streamvdib.sources.unpacked import plain_file

NPY_MAGIC = b"\x93NUMPY"
ZIP_MAGIC = b"PK\x03\x04"


def recognises(head: bytes, path: Path) -> bool:
    """Whether the file is .npy, or a zip archive that begins with one."""
    del path
    return head.startswith(NPY_MAGIC) or (head.startswith(ZIP_MAGIC) and b".npy" in head[:512])


def open_recording(path: Path, options: ReadOptions) -> Recording:
    """Open a .npy or .npz file.

    Options: ``columns`` (of plain arrays), ``time_unit``.
    """
    options.only("columns", "time_unit")
    with _opened(path, options) as (table, title, stated):
        size = options.sensor_size or stated or _infer_sensor_size(table)

    def read_blocks(counters: dict[str, int]) -> Iterator[Block]:
        with _opened(path, options) as (again, _, _):
            while (block := again.read(counters, lenient=options.lenient)) is not None:
                yield block

    return Recording(path, title, size, read_blocks, options)


@contextmanager
def _opened(path: Path, options: ReadOptions) -> Iterator[tuple[Table, str, SensorSize | None]]:
    """The events of a file, what it is, and the size that it states."""
    with ExitStack() as stack:
        stream = stack.enter_context(open_stream(path, lenient=options.lenient))
        start = stream.read(len(ZIP_MAGIC))
        stream.push_back(start)
        if start == ZIP_MAGIC:
            plain = stack.enter_context(plain_file(path, suffix=".npz", lenient=options.lenient))
            streams, size = stack.enter_context(open_npz(plain, str(path)))
            yield table_of(streams, options.format_options, str(path)), "NumPy .npz", size
        else:
            streams = {"events": NpyStream(stream)}
            yield table_of(streams, options.format_options, str(path)), "NumPy .npy", None


def _infer_sensor_size(table: Table) -> SensorSize:
    try:
        block = table.read({}, lenient=True)
    except RecordingError:
        block = None  # reading will say what is wrong, and where
    return smallest_for(empty_events() if block is None else block.events, table.name)
