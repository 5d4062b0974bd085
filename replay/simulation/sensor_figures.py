"""What a recording tells of its sensor whatever it shows: noise, shortest gaps, repeated words.

Noise is taken where hardly anything moved: of the quietest ``N_QUIET`` of 8 x 8 equal parts of the
sensor, the events that are alone (none at the same pixel or its neighbours within ``ALONE_US``).
A refractory time is no longer than the shortest gaps between events of a pixel. Thresholds cannot
be had so: the contrast that was shown is not known.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.events import EventArray, SensorSize

N_PARTS = 8  # across and down
N_QUIET = 4
ALONE_US = 50_000
REPEAT_US = 3  # a word of the same pixel and polarity so soon is the sensor's read-out, no event
RUN_US = 50_000
GAP_SHARE = 0.001


@dataclass
class SensorFigures:
    """Figures of recordings of one sensor. Memory: 8 bytes per event, and 33 more of the last."""

    size: SensorSize
    seconds: float = 0.0
    n_events: int = 0
    n_repeats: int = 0
    n_on: int = 0
    n_runs: int = 0
    gaps_us: list[npt.NDArray[np.int64]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.per_part = np.zeros((N_PARTS, N_PARTS))  # events, repeats left out
        self.alone = np.zeros((2, N_PARTS, N_PARTS))  # of those, alone: OFF and ON

    def add(self, events: EventArray) -> None:
        """Count one recording, in order of time."""
        is_first, gaps_us, begins = _by_pixel(events, self.size)
        self.n_events += len(events)
        self.n_repeats += int((~is_first).sum())
        events = events[is_first]
        self.seconds += float(events["t_us"][-1] - events["t_us"][0]) / 1e6 if len(events) else 0.0
        self.n_on += int(events["on"].sum())
        self.n_runs += int(begins.sum())
        self.gaps_us.append(gaps_us)
        row = events["y"].astype(np.int64) * N_PARTS // self.size.height
        column = events["x"].astype(np.int64) * N_PARTS // self.size.width
        np.add.at(self.per_part, (row, column), 1)
        alone = _alone(events, self.size.width, self.size.height, ALONE_US)
        on = events["on"].astype(np.int64)
        np.add.at(self.alone, (on[alone], row[alone], column[alone]), 1)

    def noise_hz(self) -> tuple[float, float]:
        """OFF and ON events per second of a pixel where the sensor was quietest."""
        quiet = np.argsort(self.per_part.reshape(-1))[:N_QUIET]
        n_pixels = N_QUIET * self.size.width * self.size.height / N_PARTS**2
        per_polarity = self.alone.reshape(2, -1)[:, quiet].sum(1) / (
            n_pixels * max(self.seconds, 1e-6)
        )
        return float(per_polarity[0]), float(per_polarity[1])

    def rows(self) -> list[tuple[str, str]]:
        """Names and figures: first the sensor's, then those that the scene makes."""
        n_kept = max(self.n_events - self.n_repeats, 1)
        off_hz, on_hz = self.noise_hz()
        gaps = np.concatenate([np.empty(0, np.int64), *self.gaps_us])
        shortest = float(np.quantile(gaps, GAP_SHARE)) / 1000 if len(gaps) else float("nan")
        return [
            ("noise, ON events per second of a pixel", f"{on_hz:.4f}"),
            ("noise, OFF events per second of a pixel", f"{off_hz:.4f}"),
            ("one gap in 1,000 at a pixel is shorter than, ms", f"{shortest:.2f}"),
            ("words repeated within 3 us", f"{self.n_repeats / max(self.n_events, 1):.3f}"),
            ("scene: events per second", f"{n_kept / max(self.seconds, 1e-6):,.0f}"),
            ("scene: share of ON events", f"{self.n_on / n_kept:.3f}"),
            (
                "scene: events of one sign in a row at a pixel",
                f"{n_kept / max(self.n_runs, 1):.2f}",
            ),
        ]


def _by_pixel(
    events: EventArray, size: SensorSize
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Which events repeat none, the gaps between those of a pixel, and which begin a run."""
    pixel = events["y"].astype(np.int64) * size.width + events["x"]
    order = np.lexsort((events["t_us"], pixel))
    same = np.diff(pixel[order], prepend=-1) == 0
    like = same & (events["on"][order] == np.roll(events["on"][order], 1))
    gaps = np.diff(events["t_us"][order], prepend=0)
    repeats = like & (gaps <= REPEAT_US)
    is_first = np.empty(len(events), np.bool_)
    is_first[order] = ~repeats
    kept = ~repeats
    begins = kept & ~(like & (gaps <= RUN_US))
    return is_first, gaps[same & kept], begins[kept]


@njit(cache=True, nogil=True)
def _alone(events: EventArray, width: int, height: int, alone_us: int) -> npt.NDArray[np.bool_]:
    """Which events have no other within ``alone_us`` at their pixel or its eight neighbours."""
    alone = np.ones(len(events), np.bool_)
    never = np.int64(-(1 << 62))
    for direction in range(2):
        latest = np.full((height + 2, width + 2), never)
        for place in range(len(events)):
            index = place if direction == 0 else len(events) - 1 - place
            event = events[index]
            t_us = event["t_us"] if direction == 0 else -event["t_us"]
            row, column = np.int64(event["y"]) + 1, np.int64(event["x"]) + 1
            if t_us - latest[row - 1 : row + 2, column - 1 : column + 2].max() <= alone_us:
                alone[index] = False
            latest[row, column] = t_us
    return alone
