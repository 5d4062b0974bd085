"""Text with one event per line, ``t x y p``, in any order of columns.

Columns are parted by spaces, tabs, commas or semicolons; lines that begin with # or % are
comments. The order is told by the option ``columns`` ("x y t p", with _ for one to skip), by a
header line with the names, or is t x y p. Times are in the option's ``time_unit``, in the unit
that the name in the header ends with, or in seconds if the first one has a decimal point and in
microseconds if it has none. Polarity 1 is ON, 0 and -1 are OFF. A first line of two numbers is
the sensor's width and height; without it, the smallest known sensor on which the first
256 kB fit.

Times become whole microseconds, rounded in decimal arithmetic: 0.0000025 s is 3 us.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from streamvdib.errors import RecordingError, TruncatedRecordingError, UnknownFormatError
from streamvdib.events import EVENT_DTYPE, SensorSize
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block
from streamvdib.sources.reading import REMEDY, ByteStream, count, open_stream
from streamvdib.sources.recording import Recording
from streamvdib.sources.sensor_sizes import smallest_for
from streamvdib.sources.text_kernel import BAD_POLARITY, OK, WRONG_COLUMNS, P, parse_lines
from streamvdib.sources.text_layout import TextLayout, find_layout

HEAD_BYTES = 1 << 16
CHUNK_BYTES = 1 << 18
MAX_LINE_BYTES = 1 << 12
SHORTEST_LINE_BYTES = 8  # "0 0 0 0" and a line feed


def recognises(head: bytes, path: Path) -> bool:
    """Whether the file begins with a header that names columns, or a line of four numbers."""
    del path
    return find_layout(_whole_lines(head), {}) is not None


def open_recording(path: Path, options: ReadOptions) -> Recording:
    """Open a text file.

    Options: ``columns``, ``time_unit``.
    """
    options.only("columns", "time_unit")
    with open_stream(path, lenient=True) as stream:
        layout = find_layout(_whole_lines(stream.read(HEAD_BYTES)), options.format_options)
    if layout is None:
        raise UnknownFormatError(
            f"{path}: text must have one event per line and four columns; its first line has "
            'not. Name its columns with columns=..., such as "x y t p" (_ skips one).'
        )
    size = options.sensor_size or layout.sensor_size or _infer_sensor_size(path, layout)

    def read_blocks(counters: dict[str, int]) -> Iterator[Block]:
        return _read_blocks(path, layout, options, counters)

    return Recording(path, "text", size, read_blocks, options)


def _whole_lines(head: bytes) -> bytes:
    """What of the first bytes of a file are whole lines; all if there is no line feed."""
    return head[: head.rfind(b"\n") + 1] if b"\n" in head else head


def _infer_sensor_size(path: Path, layout: TextLayout) -> SensorSize:
    parser = TextParser(layout, str(path), {}, lenient=True)
    with open_stream(path, lenient=True) as stream:
        stream.read(layout.n_bytes)
        events = parser.parse(_whole_lines(stream.read(CHUNK_BYTES)), 0).events
    return smallest_for(events, str(path))


def _read_blocks(
    path: Path, layout: TextLayout, options: ReadOptions, counters: dict[str, int]
) -> Iterator[Block]:
    parser = TextParser(layout, str(path), counters, lenient=options.lenient)
    with open_stream(path, lenient=options.lenient) as stream:
        stream.read(layout.n_bytes)
        while lines := _read_lines(stream):
            offset = stream.offset - len(lines)
            whole, error = parser.without_cut_line(lines, offset)
            block = parser.parse(whole, offset)
            yield block if error is None else replace(block, error=block.error or error)


def _read_lines(stream: ByteStream) -> bytes:
    """The next whole lines; the last one of a file may lack its line feed."""
    data = stream.read(CHUNK_BYTES)
    if len(data) < CHUNK_BYTES:
        return data
    end = data.rfind(b"\n") + 1
    if end < CHUNK_BYTES - MAX_LINE_BYTES:
        raise RecordingError(
            f"{stream.name}: lines of text must be shorter than {MAX_LINE_BYTES} bytes; the one "
            f"at byte {stream.offset - len(data) + end} is longer. Check that this is text."
        )
    stream.push_back(data[end:])
    return data[:end]


class TextParser:
    """Lines to events; holds no state between calls.

    Args:
        layout: what the columns mean.
        name: of the recording, for messages.
        counters: ``bad_lines`` is raised when ``lenient``.
        lenient: skip bad lines instead of raising.
    """

    def __init__(
        self, layout: TextLayout, name: str, counters: dict[str, int], *, lenient: bool
    ) -> None:
        self._layout = layout
        self._name = name
        self._counters = counters
        self._lenient = lenient

    def parse(self, lines: bytes, offset: int) -> Block:
        """Events of whole lines.

        Args:
            lines: text.
            offset: where it begins in the recording.
        """
        data = np.frombuffer(lines, np.uint8)
        n_lines = len(lines) // SHORTEST_LINE_BYTES + 1
        events = np.empty(n_lines, dtype=EVENT_DTYPE)
        offsets = np.empty(n_lines, dtype=np.int64)
        layout = self._layout
        n_events, n_bad, cause, bad_at = parse_lines(
            data, layout.columns, layout.scale, events, offsets, self._lenient
        )
        error = None
        if cause != OK and not self._lenient:
            error = self._error(cause, lines, bad_at, offset)
        count(self._counters, "bad_lines", n_bad)

        def locate(index: int) -> str:
            return f"byte {offset + int(offsets[index])}"

        return Block(events[:n_events], locate, error=error)

    def without_cut_line(
        self, lines: bytes, offset: int
    ) -> tuple[bytes, TruncatedRecordingError | None]:
        """The lines, but not a last one whose last number may have been cut off.

        Without a line feed only a polarity is known to be whole: it is all or nothing.

        Args:
            lines: the last ones of a recording.
            offset: where they begin in the recording.
        """
        if lines.endswith(b"\n") or self._layout.columns[-1] == P:
            return lines, None
        end = lines.rfind(b"\n") + 1
        if not self._lenient:
            return lines[:end], TruncatedRecordingError(
                f"{self._name}, byte {offset + end}: the last line must end with a line feed, lest "
                f"its last number was cut off; it does not. {REMEDY}, which drops the line and "
                "counts it."
            )
        count(self._counters, "bad_lines", 1)
        return lines[:end], None

    def _error(self, cause: int, lines: bytes, start: int, offset: int) -> RecordingError:
        end = lines.find(b"\n", start)
        line = lines[start : end if end >= 0 else len(lines)]
        where = f"{self._name}, byte {offset + start}"
        text = line[:80].decode(errors="backslashreplace")
        n_columns = len(self._layout.columns)
        if cause == WRONG_COLUMNS and end < 0:
            return TruncatedRecordingError(
                f"{where}: the last line must have {n_columns} columns; got {text!r}. {REMEDY}, "
                "which drops the line and counts it."
            )
        must = {
            WRONG_COLUMNS: f"a line must have {n_columns} columns",
            BAD_POLARITY: "the polarity must be -1, 0 or 1",
        }.get(cause, "a line must hold numbers only")
        return RecordingError(
            f"{where}: {must}; got {text!r}. Name the columns with columns=..., or read with "
            "lenient=True (--lenient), which skips and counts such lines."
        )
