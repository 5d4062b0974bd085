"""Arrays that hold events as rows or as one column each, read in step."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from streamvdib.errors import ConfigurationError, RecordingError, TruncatedRecordingError
from streamvdib.events import EVENT_DTYPE
from streamvdib.sources.columns import (
    ColumnNames,
    column_order,
    events_from_columns,
    find_columns,
    time_unit,
)
from streamvdib.sources.npy_stream import NpyStream
from streamvdib.sources.policy import Block, record_locator
from streamvdib.sources.reading import REMEDY, count

BLOCK_EVENTS = 1 << 16
_ORDERS = ("t x y p", "x y t p", "x y p t")


class Table(Protocol):
    """Events that are read in order."""

    name: str

    def read(self, counters: MutableMapping[str, int], *, lenient: bool) -> Block | None:
        """The next events; None at the end."""


def table_of(streams: Mapping[str, NpyStream], options: Mapping[str, object], name: str) -> Table:
    """The events in a file's arrays.

    Args:
        streams: the arrays, by name.
        options: ``columns`` and ``time_unit``.
        name: of the file, for messages.

    Raises:
        RecordingError: there are none.
    """
    names = find_columns(list(streams))
    if names is not None:
        return _Columns(streams, names, options, name)
    for key in ("events", *streams):
        if key in streams and _may_hold_events(streams[key]):
            return _Rows(streams[key], options, name)
    held = ", ".join(f"{key} {stream.shape}" for key, stream in streams.items())
    raise RecordingError(
        f"{name}: must hold arrays t, x, y and p, a structured array with these fields, or one of "
        f"shape (n_events, 4); it holds {held or 'none'}. Save it again."
    )


def _may_hold_events(stream: NpyStream) -> bool:
    if stream.dtype.names is not None:
        return len(stream.shape) == 1 and find_columns(stream.dtype.names) is not None
    return len(stream.shape) == 2 and stream.shape[1] >= 4


class _Rows:
    """One array: fields of its items, or its columns."""

    def __init__(self, stream: NpyStream, options: Mapping[str, object], name: str) -> None:
        self.name = name
        self._stream = stream
        self._n_read = 0
        self._options = options
        self._keys: list[Any] = []  # of t, x, y, p; told by the first events if not by names
        self._unit = ""
        self._is_ours = False

    def read(self, counters: MutableMapping[str, int], *, lenient: bool) -> Block | None:
        stream = self._stream
        at = stream.data_at + self._n_read * stream.item_bytes
        rows = stream.read(BLOCK_EVENTS, counters, lenient=lenient)
        if len(rows) == 0:
            return None
        self._n_read += len(rows)
        if not self._keys:
            self._look_at(rows)
        if self._is_ours:
            return Block(rows.view(EVENT_DTYPE), record_locator(at, stream.item_bytes))
        is_plain = stream.dtype.names is None
        t, x, y, p = (rows[:, key] if is_plain else rows[key] for key in self._keys)
        events = events_from_columns(t, x, y, p, self._unit, f"{self.name}, from byte {at} on")
        return Block(events, record_locator(at, stream.item_bytes))

    def _look_at(self, rows: npt.NDArray[Any]) -> None:
        """Find the columns and the unit of times."""
        fields = rows.dtype.names
        if fields is not None:
            names = find_columns(fields)
            assert names is not None  # _may_hold_events
            self._keys, time_name = [names.t, names.x, names.y, names.p], names.t
            first = rows[names.t]
        else:
            self._keys, time_name = _column_numbers(self._options, rows, self.name)
            first = rows[:, self._keys[0]]
        self._unit = time_unit(time_name, first, self._options)
        self._is_ours = self._unit == "us" and _lies_as_ours(rows.dtype, self._keys)


def _lies_as_ours(dtype: np.dtype[Any], keys: list[Any]) -> bool:
    """Whether a structured type differs from ``EVENT_DTYPE`` by nothing but names."""
    if dtype.names is None or tuple(keys) != dtype.names:
        return False
    assert dtype.fields is not None  # it has names
    assert EVENT_DTYPE.fields is not None
    same = list(dtype.fields.values()) == list(EVENT_DTYPE.fields.values())
    return same and dtype.itemsize == EVENT_DTYPE.itemsize


def _column_numbers(
    options: Mapping[str, object], rows: npt.NDArray[Any], name: str
) -> tuple[list[int], str]:
    """Numbers of the columns t, x, y, p of a plain array, and the name of the first."""
    wanted = options.get("columns") or column_order(rows, _ORDERS)
    words, n_columns = str(wanted).replace(",", " ").split(), rows.shape[1]
    names = find_columns(words)
    if names is None:
        raise ConfigurationError(
            f"columns must name each of t, x, y, p once (and _ for one to skip); got {words}"
        )
    numbers = [words.index(key) for key in (names.t, names.x, names.y, names.p)]
    if max(numbers) >= n_columns:
        raise ConfigurationError(
            f"{name}: columns must be as many as the array's {n_columns}; got {words}"
        )
    return numbers, names.t


class _Columns:
    """Four arrays of one dimension and the same length."""

    def __init__(
        self,
        streams: Mapping[str, NpyStream],
        names: ColumnNames,
        options: Mapping[str, object],
        name: str,
    ) -> None:
        self.name = name
        self._streams = [streams[key] for key in (names.t, names.x, names.y, names.p)]
        self._n_read = 0
        self._options = options
        self._time_name = names.t
        self._unit = ""
        shapes = {stream.shape for stream in self._streams}
        if len(shapes) > 1 or len(self._streams[0].shape) != 1:
            raise RecordingError(
                f"{name}: t, x, y and p must have one dimension and the same length; got shapes "
                f"{[stream.shape for stream in self._streams]}. Save them again."
            )

    def read(self, counters: MutableMapping[str, int], *, lenient: bool) -> Block | None:
        columns = [stream.read(BLOCK_EVENTS, counters, lenient=lenient) for stream in self._streams]
        n_events = self._common_length(columns, counters, lenient=lenient)
        if n_events == 0:
            return None
        start = self._n_read
        self._n_read += n_events
        t, x, y, p = (column[:n_events] for column in columns)
        where = f"{self.name}, from event {start} on"
        self._unit = self._unit or time_unit(self._time_name, t, self._options)
        events = events_from_columns(t, x, y, p, self._unit, where)
        return Block(events, lambda index: f"event {start + index}")

    def _common_length(
        self,
        columns: list[npt.NDArray[np.generic]],
        counters: MutableMapping[str, int],
        *,
        lenient: bool,
    ) -> int:
        shortest, longest = min(map(len, columns)), max(map(len, columns))
        if shortest < longest and not lenient:
            raise TruncatedRecordingError(
                f"{self.name}, event {self._n_read + shortest}: t, x, y and p must be equally "
                f"long; one ends here. {REMEDY}."
            )
        count(counters, "truncated_events", longest - shortest)
        return shortest
