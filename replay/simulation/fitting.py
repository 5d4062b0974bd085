"""Fits the N-MNIST-like simulation to real recordings by random search.

    score = similarity - 0.2 d_time - 0.3 d_on - 0.3 d_count

similarity: of the binary 10 ms steps of a simulated and the real recording of the same image
(``comparison.similarity``), mean; d_time: sum of differences of events per 10 ms and polarity,
over events; d_on: difference of the shares of ON events; d_count: logarithm of the ratio of
all events. A trial changes a few constants, or bends the path about one place; it is kept if
the score rises, and the size of changes follows the success.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from streamvdib.events import EventArray

from .comparison import Figures, similarity
from .nmnist import NMNIST_SIZE, NO_VARIATION, simulate_nmnist
from .saccades import Setup

Pair = tuple[npt.NDArray[np.uint8], EventArray]  # image and real recording of it
N_STEPS = 31
# Standard deviation of a change, and the least value.
PIXEL_STEPS = {
    "threshold_on": (0.02, 0.05),
    "threshold_off": (0.02, 0.05),
    "refractory_us": (200.0, 0.0),
    "tau_us": (150.0, 0.0),
    "dark": (8.0, 0.0),
    "linear_below": (4.0, 1.0),
}
LENS_STEPS = {"blur": (0.06, 0.1), "scale": (0.004, 0.9), "white": (4.0, 1.0)}
BEND_PIXELS = 0.1
BEND_WIDTHS = (0.8, 2.0, 5.0)  # knots


@dataclass(frozen=True)
class Trial:
    """Where the search stands after a trial."""

    number: int
    setup: Setup  # the best so far
    score: float  # its score


def score(setup: Setup, pairs: Sequence[Pair]) -> float:
    """How like the real recordings those of ``setup`` are; at most 1."""
    real, simulated, similarities = Figures(NMNIST_SIZE, N_STEPS), Figures(NMNIST_SIZE, N_STEPS), []
    for number, (image, events) in enumerate(pairs):
        made = simulate_nmnist(image, number, variation=NO_VARIATION, setup=setup)
        real.add(events)
        simulated.add(made)
        similarities.append(similarity(events, made, NMNIST_SIZE, N_STEPS))
    n_real, n_simulated = sum(real.counts), max(sum(simulated.counts), 1)
    d_time = float(np.abs(real.profile - simulated.profile).sum()) / n_real
    d_on = abs(sum(real.on_counts) / n_real - sum(simulated.on_counts) / n_simulated)
    d_count = abs(math.log(n_real / n_simulated))
    return float(np.mean(similarities)) - 0.2 * d_time - 0.3 * d_on - 0.3 * d_count


def fit(pairs: Sequence[Pair], start: Setup, n_trials: int, seed: int = 0) -> Iterator[Trial]:
    """Search from ``start``; yields after each trial, so that it can be stopped at any time."""
    rng = np.random.default_rng(seed)
    best, best_score, size = start, score(start, pairs), 1.0
    for number in range(n_trials):
        candidate = _changed(best, size, rng)
        candidate_score = score(candidate, pairs)
        if candidate_score > best_score:
            best, best_score, size = candidate, candidate_score, min(2.0, 1.15 * size)
        else:
            size = max(0.2, 0.985 * size)
        yield Trial(number, best, best_score)


def _changed(setup: Setup, size: float, rng: np.random.Generator) -> Setup:
    """A neighbour of ``setup``: one time in four other constants, else another path."""
    kind = rng.integers(4)
    if kind > 0:
        x = _bent(setup.x, size, rng) if kind != 1 else setup.x
        y = _bent(setup.y, size, rng) if kind != 2 else setup.y
        return replace(setup, x=x, y=y)
    names = rng.choice([*PIXEL_STEPS, *LENS_STEPS], rng.integers(1, 4), replace=False)
    pixel, lens = setup.pixel, setup.lens
    for name in names.tolist():
        if name in PIXEL_STEPS:
            value = _moved(getattr(pixel, name), *PIXEL_STEPS[name], size, rng)
            pixel = replace(pixel, **{name: value})
        else:
            value = _moved(getattr(lens, name), *LENS_STEPS[name], size, rng)
            lens = replace(lens, **{name: value})
    return replace(setup, pixel=pixel, lens=lens)


def _moved(
    value: float, deviation: float, least: float, size: float, rng: np.random.Generator
) -> float:
    return max(least, value + size * deviation * float(rng.normal()))


def _bent(knots: tuple[float, ...], size: float, rng: np.random.Generator) -> tuple[float, ...]:
    """The path with a bump somewhere."""
    place, width = rng.integers(len(knots)), rng.choice(BEND_WIDTHS)
    bump = np.exp(-0.5 * ((np.arange(len(knots)) - place) / width) ** 2)
    return tuple((np.asarray(knots) + size * BEND_PIXELS * rng.normal() * bump).tolist())


def constants_of(setup: Setup) -> str:
    """The Python text of a setup, as in ``nmnist_fit.py``."""
    lines = [f"LENS = {setup.lens}", f"PIXEL = {setup.pixel}"]
    for name, knots in (("X", setup.x), ("Y", setup.y)):
        lines.append(f"{name} = ({', '.join(f'{knot:.2f}' for knot in knots)})")
    return "\n".join(lines) + "\n"
