"""Recordings one after the other as one stream: a file, a folder, a data set.

Times go on from recording to recording, ``gap_us`` apart, so that what comes out could be one
camera's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamvdib.errors import ConfigurationError, RecordingError, UnknownFormatError
from streamvdib.events import EventPacket, SensorSize
from streamvdib.sources import EventSource, open_source, recognise

DEFAULT_GAP_US = 100_000


@dataclass(frozen=True)
class Entry:
    """One recording of a playlist."""

    name: str
    open: Callable[[], EventSource]


@dataclass(frozen=True)
class Order:
    """In which order and which part of each recording is played.

    Args:
        loop: begin again after the last.
        shuffle: a new order in every round.
        seed: of the shuffling.
        from_us: from this long after a recording's first event.
        to_us: up to this long after it; None to its end.
        gap_us: silence between recordings.
    """

    loop: bool = False
    shuffle: bool = False
    seed: int = 0
    from_us: int = 0
    to_us: int | None = None
    gap_us: int = DEFAULT_GAP_US

    def __post_init__(self) -> None:
        if self.from_us < 0 or (self.to_us is not None and self.to_us <= self.from_us):
            raise ConfigurationError(
                f"--from must not be negative and --to must be later; got {self.from_us} and "
                f"{self.to_us} us"
            )


def find_entries(
    path: str | Path,
    *,
    split: str | None = None,
    sensor_size: SensorSize | None = None,
    lenient: bool = False,
    packet_us: int = 10_000,
    **options: object,
) -> list[Entry]:
    """The recordings that a path means: itself, or those in a folder or data set, in order.

    ``options`` are those of ``open_source``, for files that are in no data set's layout.

    Raises:
        RecordingError: there are none.
    """

    def entry(file: Path) -> Entry:
        def opened() -> EventSource:
            return open_source(
                file, sensor_size=sensor_size, lenient=lenient, packet_us=packet_us, **options
            )

        return Entry(str(file), opened)

    root = Path(path)
    if not root.is_dir() or _is_bag(root):
        if split is not None:
            raise ConfigurationError(f"--split must go with a data set's folder; got {root}")
        return [entry(root)]
    found = _of_data_set(root, split, lenient=lenient, packet_us=packet_us)
    if found is None:
        if split is not None:
            raise ConfigurationError(
                f"--split must go with a data set; {root} has no layout of one"
            )
        found = [entry(file) for file in sorted(root.rglob("*")) if _is_recording(file)]
    if not found:
        raise RecordingError(
            f"{root}: a folder to replay must hold recordings; none was recognised"
        )
    return found


def _of_data_set(
    root: Path, split: str | None, *, lenient: bool, packet_us: int
) -> list[Entry] | None:
    """A data set's recordings; None if the folder is none."""
    from .datasets import open_dataset

    try:
        data_set = open_dataset(root)
    except UnknownFormatError:
        return None
    chosen = data_set if split is None else data_set.split(split)
    return [
        Entry(
            str(recording.path),
            lambda one=recording: one.open(lenient=lenient, packet_us=packet_us),  # type: ignore[misc]
        )
        for recording in chosen.recordings
    ]


def _is_bag(folder: Path) -> bool:
    return (folder / "metadata.yaml").is_file()


def _is_recording(file: Path) -> bool:
    if not file.is_file():
        return False
    try:
        recognise(file)
    except RecordingError:
        return False
    return True


class Playlist:
    """Recordings as one source. Memory: that of one recording's reader."""

    is_live = False

    def __init__(self, entries: Sequence[Entry], order: Order | None = None) -> None:
        """Play ``entries``, of one sensor."""
        if not entries:
            raise ConfigurationError("a playlist must hold a recording; got none")
        self.names = [entry.name for entry in entries]
        self._entries = entries
        self._order = order or Order()
        self._open: EventSource | None = entries[0].open()
        self._is_first = True
        self.sensor_size = self._open.sensor_size
        self.counters: dict[str, int] = {}
        self.name = entries[0].name if len(entries) == 1 else f"{len(entries)} recordings"

    def __iter__(self) -> Iterator[EventPacket]:
        """Packets of all recordings, on one time."""
        self.counters.clear()
        reached_us: int | None = None
        for entry in self._sequence():
            source = self._opened(entry)
            shift_us: int | None = 0 if reached_us is None else None
            for packet in _part(source, self._order):
                if shift_us is None and reached_us is not None:
                    shift_us = reached_us + self._order.gap_us - _begin_us(packet)
                moved = _moved(packet, shift_us or 0)
                reached_us = moved.end_us
                yield moved
            self._count(source)
            source.close()
        self._open = None

    def close(self) -> None:
        """Close the recording that is being read."""
        if self._open is not None:
            self._open.close()

    def _sequence(self) -> Iterator[Entry]:
        rounds = itertools.count() if self._order.loop else range(1)
        for n_round in rounds:
            places = np.arange(len(self._entries))
            if self._order.shuffle:
                np.random.default_rng([self._order.seed, n_round]).shuffle(places)
            for place in places:
                yield self._entries[int(place)]

    def _opened(self, entry: Entry) -> EventSource:
        """Open a recording, whose sensor must be that of the first."""
        if self._open is not None:
            self._open.close()
        source = self._open = entry.open()
        if source.sensor_size != self.sensor_size:
            source.close()
            raise ConfigurationError(
                f"{entry.name}: recordings played as one stream must have one sensor, "
                f"{self.sensor_size}; got {source.sensor_size}. Give --sensor-size, or replay "
                "them one by one."
            )
        return source

    def _count(self, source: EventSource) -> None:
        for name, n in source.counters.items():
            self.counters[name] = self.counters.get(name, 0) + n


def _begin_us(packet: EventPacket) -> int:
    return int(packet.events["t_us"][0]) if len(packet.events) else packet.end_us


def _moved(packet: EventPacket, shift_us: int) -> EventPacket:
    """The packet that much later."""
    if shift_us == 0:
        return packet
    events = packet.events.copy()
    events["t_us"] += shift_us
    images = tuple(type(one)(one.t_us + shift_us, one.pixels) for one in packet.images)
    return EventPacket(events, packet.end_us + shift_us, images)


def _part(source: EventSource, order: Order) -> Iterator[EventPacket]:
    """The packets between ``from_us`` and ``to_us`` after the first event."""
    start_us = stop_us = None
    for packet in source:
        if start_us is None:
            start_us = _begin_us(packet) + order.from_us
            stop_us = None if order.to_us is None else _begin_us(packet) + order.to_us
        times = packet.events["t_us"]
        first = int(np.searchsorted(times, start_us))
        last = len(times) if stop_us is None else int(np.searchsorted(times, stop_us))
        end_us = packet.end_us if stop_us is None else min(packet.end_us, stop_us)
        if end_us > start_us:
            images = tuple(one for one in packet.images if start_us <= one.t_us < end_us)
            yield EventPacket(packet.events[first:last], end_us, images)
        if stop_us is not None and packet.end_us >= stop_us:
            return
