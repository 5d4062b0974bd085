"""HDF5 files with events, read in pieces.

Recognised layouts: a group with one dataset per column under any common names (DSEC's
``events/{t,x,y,p}`` with ``t_offset`` beside it, which is added; ``raw_events/{t,x,y,p}``;
``events/{ts,xs,ys,ps}``), a compound dataset with such fields (``CD/events``), or a plain dataset
of four columns (MVSEC's ``davis/left/events``: x y t p, another order that the first events do
not contradict, or that of the option ``columns``). The
option ``group`` chooses where there are several.

Times are in the option's ``time_unit``, in the unit their name ends with, in seconds if they have
fractions, else in microseconds. The sensor's size comes from the attribute ``sensor_resolution``
(height, width) or ``geometry`` ("1280x720"), or is the smallest known one on which the first
65,536 fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamvdib.errors import ConfigurationError, MissingExtraError, RecordingError
from streamvdib.events import EventArray, SensorSize
from streamvdib.sources.columns import column_order, events_from_columns, find_columns, time_unit
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block
from streamvdib.sources.recording import Recording
from streamvdib.sources.sensor_sizes import smallest_for
from streamvdib.sources.unpacked import plain_file

MAGIC = b"\x89HDF\r\n\x1a\n"
BLOCK_EVENTS = 1 << 17
MAX_BLOCK_EVENTS = 1 << 20
_INFERENCE_EVENTS = 1 << 16
_PLAIN_ORDERS = ("x y t p", "t x y p", "x y p t")
_ECF = 0x8ECF  # registered by Prophesee
_GEOMETRY = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")


def recognises(head: bytes, path: Path) -> bool:
    """Whether the file is HDF5."""
    del path
    return head.startswith(MAGIC)


def open_recording(path: Path, options: ReadOptions) -> Recording:
    """Open an HDF5 file.

    Options: ``group`` (path within the file), ``columns``, ``time_unit``.

    Raises:
        MissingExtraError: h5py, or a compression filter of hdf5plugin, is not installed.
    """
    options.only("group", "columns", "time_unit")
    with _opened(path, options) as file:
        with _reading(str(path), "its groups"):
            tables = _tables(file, options)
        table = _choose(tables, options, str(path))
        events = _Events(file, table, str(path))
        unit = events.time_unit(options)
        size = options.sensor_size or events.stated_size() or events.infer_size(unit)

    def read_blocks(counters: dict[str, int]) -> Iterator[Block]:
        del counters  # nothing is skipped
        with _opened(path, options) as file:
            again = _Events(file, table, str(path))
            n_events = again.events_at_once()
            for start in range(0, again.n_events, n_events):
                yield again.block(start, n_events, unit)

    return Recording(path, f"HDF5 ({events.place})", size, read_blocks, options)


@contextmanager
def _opened(path: Path, options: ReadOptions) -> Iterator[Any]:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(f"{path}: HDF5", extra="hdf5", missing="h5py") from error
    with suppress(ImportError):
        import hdf5plugin  # noqa: F401 - registers compression filters
    with plain_file(path, lenient=options.lenient) as plain:
        with _reading(str(path), "byte 0"):
            file = h5py.File(plain, "r")
        with file:
            yield file


@contextmanager
def _reading(name: str, place: str) -> Iterator[None]:
    """Tell a failure of the library as one of the recording."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        if "filter" in str(error):
            raise MissingExtraError(
                f"{name}: its compression", extra="hdf5", missing="hdf5plugin"
            ) from error
        raise RecordingError(
            f"{name}, {place}: an HDF5 file must be whole; the library says: {error}. Record or "
            "copy it again."
        ) from error


@dataclass(frozen=True)
class _Table:
    """Where the columns of events lie.

    Args:
        place: the group or dataset.
        datasets: that hold t, x, y, p; the same four times if ``fields`` are given.
        fields: of a compound dataset, or numbers of a plain dataset's columns.
        time_name: what times are called.
    """

    place: str
    datasets: tuple[str, str, str, str]
    fields: tuple[Any, ...] | None
    time_name: str


def _tables(file: Any, options: ReadOptions) -> dict[str, _Table]:
    """Every group and dataset that could hold events, by place."""
    import h5py

    tables: dict[str, _Table] = {}

    def look(place: str, item: Any) -> None:
        table = None
        if isinstance(item, h5py.Dataset):
            table = _table_of_dataset(place, item, options)
        else:
            table = _table_of_group(place, item)
        if table is not None:
            tables[place or "/"] = table

    look("", file)
    file.visititems(look)
    return tables


def _table_of_group(place: str, group: Any) -> _Table | None:
    import h5py

    items = {key: group.get(key) for key in group}
    datasets = {key: item for key, item in items.items() if isinstance(item, h5py.Dataset)}
    names = find_columns([key for key, item in datasets.items() if len(item.shape) == 1])
    if names is None:
        return None
    t, x, y, p = (f"{place}/{key}" for key in (names.t, names.x, names.y, names.p))
    return _Table(place, (t, x, y, p), None, names.t)


def _table_of_dataset(place: str, dataset: Any, options: ReadOptions) -> _Table | None:
    fields: tuple[Any, ...]
    if dataset.dtype.names is not None and len(dataset.shape) == 1:
        names = find_columns(dataset.dtype.names)
        fields = (names.t, names.x, names.y, names.p) if names else ()
    elif len(dataset.shape) == 2 and dataset.shape[1] == 4 and "event" in place.lower():
        wanted = options.format_options.get("columns")
        if wanted is None:
            wanted = column_order(dataset[:_INFERENCE_EVENTS], _PLAIN_ORDERS)
        words = str(wanted).replace(",", " ").split()
        names = find_columns(words)
        if names is None:
            raise ConfigurationError(f"columns must name t, x, y and p once; got {words}")
        fields = tuple(words.index(key) for key in (names.t, names.x, names.y, names.p))
    else:
        return None
    if names is None:
        return None
    return _Table(place, (place, place, place, place), fields, names.t)


def _choose(tables: dict[str, _Table], options: ReadOptions, name: str) -> _Table:
    wanted = options.format_options.get("group")
    if wanted is not None:
        wanted = str(wanted).strip("/") or "/"
        if wanted in tables:
            return tables[wanted]
    elif len(tables) == 1:
        return next(iter(tables.values()))
    if not tables:
        raise RecordingError(
            f"{name}: must hold a group with datasets t, x, y and p, or a dataset of events; it "
            "holds neither. Name its columns so, or convert it."
        )
    raise ConfigurationError(
        f"{name}: group must be one of {', '.join(sorted(tables))}; got {wanted!r}"
    )


class _Events:
    """The events of an open file."""

    def __init__(self, file: Any, table: _Table, name: str) -> None:
        self.place = f"/{table.place}"
        self._file = file
        self._table = table
        self._name = name
        with _reading(name, self.place):
            self._datasets = [file[place] for place in table.datasets]
            lengths = {len(dataset) for dataset in self._datasets}
            if len(lengths) > 1:
                raise ValueError(f"its columns have different lengths: {sorted(lengths)}")
            self.n_events = lengths.pop()
            self._offset_us = self._time_offset()
        self._refuse_ecf()

    def time_unit(self, options: ReadOptions) -> str:
        """The unit of times: stated, or that of the first ones by their look."""
        with _reading(self._name, self.place):
            first = self._columns(slice(0, _INFERENCE_EVENTS))[0]
        return time_unit(self._table.time_name, first, options.format_options)

    def infer_size(self, unit: str) -> SensorSize:
        """The smallest known sensor on which the first events fit."""
        return smallest_for(self.block(0, _INFERENCE_EVENTS, unit).events, self.place)

    def _refuse_ecf(self) -> None:
        """Say what is missing where Metavision's own codec packed the events."""
        import h5py

        plist = self._datasets[0].id.get_create_plist()
        filters = {plist.get_filter(index)[0] for index in range(plist.get_nfilters())}
        if _ECF in filters and not h5py.h5z.filter_avail(_ECF):
            raise RecordingError(
                f"{self._name}, {self.place}: events must not be packed with Metavision's codec "
                f"ECF (HDF5 filter {_ECF}), whose plugin is not installed. Put its folder in "
                "HDF5_PLUGIN_PATH, or convert the file to RAW with metavision_hdf5_to_raw."
            )

    def _time_offset(self) -> int:
        """DSEC's ``t_offset``, beside the group of events; 0 without one."""
        parent = self._table.place.rpartition("/")[0]
        offset = self._file[f"/{parent}"].get("t_offset")
        return 0 if offset is None else int(np.asarray(offset).ravel()[0])

    def stated_size(self) -> SensorSize | None:
        """From attributes of the file or the group."""
        with _reading(self._name, self.place):
            for item in (self._file[self.place], self._file[self.place].parent, self._file):
                resolution = np.asarray(item.attrs.get("sensor_resolution", ())).ravel()
                if len(resolution) == 2:
                    return SensorSize(int(resolution[1]), int(resolution[0]))
                if found := _GEOMETRY.search(str(item.attrs.get("geometry", ""))):
                    return SensorSize(int(found[1]), int(found[2]))
        return None

    def events_at_once(self) -> int:
        """Whole chunks of the file, so that none is unpacked twice."""
        chunks = self._datasets[0].chunks
        n_chunk = min(chunks[0], MAX_BLOCK_EVENTS) if chunks else 1
        return -(-BLOCK_EVENTS // n_chunk) * n_chunk

    def block(self, start: int, n_events: int, unit: str) -> Block:
        """``n_events`` events from ``start`` on, with times in ``unit``."""
        where = f"{self._name}, from event {start} of {self.place} on"
        with _reading(self._name, f"event {start} of {self.place}"):
            t, x, y, p = self._columns(slice(start, start + n_events))
        events: EventArray = events_from_columns(t, x, y, p, unit, where)
        if self._offset_us:
            events["t_us"] += self._offset_us
        return Block(events, lambda index: f"event {start + index} of {self.place}")

    def _columns(self, rows: slice) -> list[Any]:
        fields = self._table.fields
        if fields is None:
            return [dataset[rows] for dataset in self._datasets]
        piece = self._datasets[0][rows]
        if piece.dtype.names is not None:
            return [piece[field] for field in fields]
        return [piece[:, field] for field in fields]
