"""Filters one after the other, each counting what it takes away."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from streamvdib.errors import ConfigurationError
from streamvdib.events import EventArray, EventPacket, SensorSize
from streamvdib.sources import EventSource

FILTERS: dict[str, str] = {
    "hot": "streamvdib.filters.hot_pixels",
    "baf": "streamvdib.filters.background_activity",
    "roi": "streamvdib.filters.region",
    "polarity": "streamvdib.filters.polarity",
    "refractory": "streamvdib.filters.refractory",
}
"""Word in a specification -> module with ``parse(value, sensor_size)``."""


class EventFilter(Protocol):
    """Says which events stay. What it remembers depends on the events alone, not on packets."""

    name: str

    def keep(self, events: EventArray) -> npt.NDArray[np.bool_]:
        """Which of the next events stay, (n_events,); all are on the sensor."""


class FilteredSource:
    """Another source without what the filters take away. Memory: that of the filters."""

    def __init__(self, source: EventSource, filters: Sequence[EventFilter]) -> None:
        """Filter ``source``, which is closed with this."""
        self.name = source.name
        self.is_live = source.is_live
        self.sensor_size = source.sensor_size
        self.source = source
        self._filters = tuple(filters)
        self._removed = {f"filter_{one.name}": 0 for one in self._filters}

    @property
    def counters(self) -> dict[str, int]:
        """Those of the source, and how many events each filter took away."""
        return {**self.source.counters, **self._removed}

    def __iter__(self) -> Iterator[EventPacket]:
        """The same packets with fewer events."""
        for packet in self.source:
            yield EventPacket(self._filtered(packet.events), packet.end_us, packet.images)

    def close(self) -> None:
        """Close the source."""
        self.source.close()

    def _filtered(self, events: EventArray) -> EventArray:
        for one in self._filters:
            if not len(events):
                break
            kept = events[one.keep(events)]
            self._removed[f"filter_{one.name}"] += len(events) - len(kept)
            events = kept
        return events


def parse_filters(specification: str, sensor_size: SensorSize) -> list[EventFilter]:
    """Filters in the order in which they are named.

    >>> [one.name for one in parse_filters("polarity=on,baf=2000", SensorSize(34, 34))]
    ['polarity', 'baf']

    Args:
        specification: ``name`` or ``name=value``, parted by commas.
        sensor_size: of the events.

    Raises:
        ConfigurationError: a name or a value cannot be meant.
    """
    found: list[EventFilter] = []
    for word in filter(None, (word.strip() for word in specification.split(","))):
        name, _, value = word.partition("=")
        if name not in FILTERS:
            raise ConfigurationError(
                f"a filter must be one of {', '.join(FILTERS)}; got {name!r}, such as "
                "hot,baf=2000,roi=10:20:100:80,polarity=on,refractory=500"
            )
        found.append(importlib.import_module(FILTERS[name]).parse(value, sensor_size))
    return found


def parse_number(name: str, value: str, default: int) -> int:
    """A positive whole number after ``name=``; ``default`` if there is none."""
    if not value:
        return default
    if not value.isdigit() or int(value) < 1:
        raise ConfigurationError(f"{name}= must be a whole number of at least 1; got {value!r}")
    return int(value)
