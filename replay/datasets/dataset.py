"""What a data set is: recordings with a label, perhaps a target image, and a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamvdib.errors import ConfigurationError
from streamvdib.events import EventArray, SensorSize, empty_events
from streamvdib.sources import EventSource, open_source

Image = npt.NDArray[np.uint8]
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class About:
    """Where a data set comes from. All of it is shown by ``streamvdib datasets``."""

    name: str
    licence: str
    source: str  # publication
    how_to_get: str


@dataclass(frozen=True, eq=False)
class Recording:
    """One example of a data set: a file, or a span of time of one."""

    path: Path
    label: int  # index into ``DataSet.classes``
    target: Image | None  # the natural image that was shown, (height, width)
    split: str  # one of SPLITS
    sensor_size: SensorSize
    index: int  # the recording's own number in its set, as the set counts
    start_us: int | None = None  # of the span; None: from the first event
    end_us: int | None = None  # first time past the span; None: to the last event

    def open(self, **options: object) -> EventSource:
        """The whole file as a source of packets (``open_source``'s options)."""
        return open_source(self.path, sensor_size=self.sensor_size, **options)  # type: ignore[arg-type]

    def read(self) -> EventArray:
        """All events of the span, EVENT_DTYPE, (n_events,). Memory: 13 bytes per event of it."""
        start = -(1 << 62) if self.start_us is None else self.start_us
        end = 1 << 62 if self.end_us is None else self.end_us
        parts = [empty_events()]
        source = self.open()
        try:
            for packet in source:
                times = packet.events["t_us"]
                parts.append(packet.events[(times >= start) & (times < end)])
                if packet.end_us >= end:
                    break
        finally:
            source.close()
        return np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class DataSet:
    """Recordings in a fixed order."""

    about: About
    layout: str
    root: Path
    sensor_size: SensorSize
    classes: tuple[str, ...]
    recordings: Sequence[Recording]
    notes: tuple[str, ...] = field(default=())  # what a user should know, such as absent targets

    def split(self, name: str) -> DataSet:
        """The recordings of one split, in order."""
        if name not in SPLITS:
            raise ConfigurationError(f"a split must be one of {', '.join(SPLITS)}; got {name!r}")
        chosen = [recording for recording in self.recordings if recording.split == name]
        return replace(self, recordings=chosen)

    def counts(self) -> dict[str, int]:
        """Recordings per split, in the order of SPLITS."""
        counter = Counter(recording.split for recording in self.recordings)
        return {name: counter[name] for name in SPLITS if counter[name]}
