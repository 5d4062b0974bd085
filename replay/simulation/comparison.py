"""How like the real recordings simulated ones are: the same figures of both, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from streamvdib.events import EventArray, SensorSize
from streamvdib.geometry import Box

from .packed import empty_steps, pack_events

Float = npt.NDArray[np.float64]
STEP_MS = 10


@dataclass
class Figures:
    """What is known of recordings of one kind. Memory: 16 bytes x pixels + 32 per recording."""

    size: SensorSize
    n_steps: int
    counts: list[int] = field(default_factory=list)
    on_counts: list[int] = field(default_factory=list)
    last_us: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rate_map = np.zeros((2, self.size.height, self.size.width))  # events, OFF and ON
        self.profile = np.zeros((self.n_steps, 2))  # events per step, OFF and ON

    def add(self, events: EventArray) -> None:
        """Count one recording; times count from its first step."""
        on = events["on"].astype(np.int64)
        self.counts.append(len(events))
        self.on_counts.append(int(on.sum()))
        self.last_us.append(int(events["t_us"][-1]) if len(events) else 0)
        np.add.at(self.rate_map, (on, events["y"], events["x"]), 1)
        steps = events["t_us"] // (STEP_MS * 1000)
        within = steps < self.n_steps
        np.add.at(self.profile, (steps[within], on[within]), 1)


@dataclass(frozen=True)
class Comparison:
    """Real against simulated recordings of the same images."""

    real: Figures
    simulated: Figures
    similarities: list[float]  # of each pair, see ``similarity``

    def rows(self) -> list[tuple[str, str, str]]:
        """Names, figures of the real and of the simulated recordings."""
        pair = (self.real, self.simulated)
        counts = [np.asarray(one.counts, np.float64) for one in pair]
        on = [np.asarray(one.on_counts) / np.maximum(one.counts, 1) for one in pair]
        last = [np.asarray(one.last_us) / 1000 for one in pair]
        maps = correlation(self.real.rate_map, self.simulated.rate_map)
        scale = self.real.profile.sum() or 1.0
        apart = float(np.abs(self.real.profile - self.simulated.profile).sum() / scale)
        busiest = [one.profile.sum(1).max() / max(len(one.counts), 1) for one in pair]
        like = float(np.mean(self.similarities)) if self.similarities else 0.0
        return [
            ("events per recording, mean", f"{counts[0].mean():,.0f}", f"{counts[1].mean():,.0f}"),
            ("events, standard deviation", f"{counts[0].std():,.0f}", f"{counts[1].std():,.0f}"),
            ("share of ON events", f"{on[0].mean():.3f}", f"{on[1].mean():.3f}"),
            ("last event, ms, mean", f"{last[0].mean():.1f}", f"{last[1].mean():.1f}"),
            ("events in the busiest 10 ms", f"{busiest[0]:,.0f}", f"{busiest[1]:,.0f}"),
            ("correlation of events per recording", "", f"{correlation(*counts):.3f}"),
            ("correlation of rate maps (polarity, row, column)", "", f"{maps:.3f}"),
            ("events per 10 ms and polarity: sum of differences / events", "", f"{apart:.3f}"),
            ("same image: correlation of binary 10 ms steps", "", f"{like:.3f}"),
        ]


def compare(
    pairs: Iterable[tuple[EventArray, EventArray]], size: SensorSize, n_steps: int
) -> Comparison:
    """The figures of pairs of a real and a simulated recording of the same image.

    Args:
        pairs: real and simulated events.
        size: of both sensors.
        n_steps: steps of 10 ms to look at.
    """
    comparison = Comparison(Figures(size, n_steps), Figures(size, n_steps), [])
    for real, simulated in pairs:
        comparison.real.add(real)
        comparison.simulated.add(simulated)
        comparison.similarities.append(similarity(real, simulated, size, n_steps))
    return comparison


def similarity(real: EventArray, simulated: EventArray, size: SensorSize, n_steps: int) -> float:
    """Correlation over (polarity, row, column) of binary 10 ms steps, mean over the steps.

    Each step weighs as much as it has active inputs in the real recording. 1 is the same
    recording; background events alone keep two recordings of the same scene below it.
    """
    steps = empty_steps(2, n_steps, Box(0, 0, *size), STEP_MS * 1000)
    pack_events(real, steps, 0)
    pack_events(simulated, steps, 1)
    one, two = steps.unpack(slice(None)).reshape(2, n_steps, -1).astype(np.float64)
    weights = one.sum(1)
    each = [correlation(a, b) for a, b in zip(one, two, strict=True)]
    return float(np.dot(weights, each) / max(weights.sum(), 1.0))


def correlation(one: Float, two: Float) -> float:
    """Pearson's; 0 where either is constant."""
    one, two = one.reshape(-1) - one.mean(), two.reshape(-1) - two.mean()
    scale = float(np.sqrt((one @ one) * (two @ two)))
    return float(one @ two) / scale if scale > 0 else 0.0
