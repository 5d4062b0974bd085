"""What a step costs, and a frame: measured along five axes, fitted, drawn.

    step   = c0 + lanes (c1 neurons + c2 additions + c3 reached)
    frame  = d0 + d1 additions

Additions of a step are those of weights: active inputs times hidden neurons, and hidden spikes
times readout neurons, of one lane. Those of a frame are spikes in the window times hidden units.
Reached are the neurons of a layer into which anything spikes in a step: how many rows each group
of them sums cannot be foretold, and a CPU that has guessed wrong begins anew. tau_e is no term:
exponential responses are sums. Times are the least CPU time of the working thread of many repeats,
since others only ever add to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from streamvdib.backends import make_backend
from streamvdib.commands.bench_machine import machine
from streamvdib.commands.bench_scenarios import (
    N_HIDDEN,
    N_INPUTS,
    N_OUTPUTS,
    after,
    model,
    moving_window,
)
from streamvdib.decoding import make_decoding
from streamvdib.errors import ConfigurationError
from streamvdib.input_steps import input_steps

N_STEPS, N_ROUNDS, N_REPEATS, N_DECODER_HIDDEN = 64, 8, 60, 512
STEP_TERMS = ("call", "neuron", "addition", "reached")
FRAME_TERMS = ("frame", "addition")
Vector = npt.NDArray[np.float64]


class Point(NamedTuple):
    """One measured place on an axis."""

    axis: str
    value: float
    terms: tuple[float, ...]  # what the constants are multiplied with
    least_us: float
    median_us: float


class Fit(NamedTuple):
    """Constants in microseconds per term, and the error of each point relative to its time."""

    constants: Vector
    errors: Vector


def fit(terms: npt.ArrayLike, times: npt.ArrayLike) -> Fit:
    """Least squares of relative errors.

    Args:
        terms: (n_points, n_terms).
        times: microseconds, (n_points,).
    """
    rows, measured = np.asarray(terms, np.float64), np.asarray(times, np.float64)
    solved = np.linalg.lstsq(rows / measured[:, None], np.ones(len(rows)), rcond=None)[0]
    constants = np.asarray(solved, np.float64)
    errors: Vector = rows @ constants / measured - 1
    return Fit(constants, errors)


class Place(NamedTuple):
    """A place on an axis that is yet to be measured."""

    axis: str
    value: float
    terms: tuple[float, ...]
    call: Callable[[], object]
    n_units: int  # steps or frames of a call


def step_place(
    axis: str,
    value: float,
    *,
    activity: float = 0.02,
    n_hidden: int = N_HIDDEN,
    tau_e: int = 30,
    n_lanes: int = 1,
) -> Place:
    """One network and a chunk of steps."""
    built = model([n_hidden, N_OUTPUTS], tau_e=tau_e)
    spikes = np.random.default_rng(0).random((N_STEPS, n_lanes, N_INPUTS)) < activity
    chunk = input_steps(spikes)
    backend = make_backend("numba", built.encoder, built.weights, n_lanes=n_lanes, seed=0)
    backend.advance(chunk)
    counts = [np.sum(given, axis=2) for given in (spikes, backend.watch(chunk).spikes[0])]
    sizes = (n_hidden, N_OUTPUTS)
    additions = sum(size * float(np.mean(n)) for size, n in zip(sizes, counts, strict=True))
    reached = sum(size * float(np.mean(n > 0)) for size, n in zip(sizes, counts, strict=True))
    terms = (1.0, n_lanes * sum(sizes), n_lanes * additions, n_lanes * reached)
    return Place(axis, value, terms, lambda: backend.advance(chunk), N_STEPS)


def frame_place(tau_d: int) -> Place:
    """One frame of the MLP, 5 % of the window's entries being spikes."""
    built = model([N_OUTPUTS], tau_d=tau_d)
    window, move = moving_window(tau_d)
    terms = (1.0, float(window.ring.sum()) * N_DECODER_HIDDEN)
    return Place("tau_d", tau_d, terms, after(move, make_decoding(built, window)), 1)


def points_of(places: list[Place]) -> list[Point]:
    """Measure all places in turns, so that a busy minute does not fall on one of them."""
    times: list[list[float]] = [[] for _ in places]
    for _ in range(N_ROUNDS):
        for place, found in zip(places, times, strict=True):
            place.call()
            for _ in range(N_REPEATS):
                before = time.thread_time_ns()
                place.call()
                found.append((time.thread_time_ns() - before) / 1e3 / place.n_units)
    return [
        Point(place.axis, place.value, place.terms, min(found), float(np.median(found)))
        for place, found in zip(places, times, strict=True)
    ]


def step_places() -> list[Place]:
    """Four axes through 676 -> 600 -> 256, 2 % active, tau_e = 30, one lane."""
    shares = (0, 0.001, 0.01, 0.02, 0.05, 0.1, 0.2)
    places = [step_place("active inputs, %", 100 * share, activity=share) for share in shares]
    for n_hidden in (150, 300, 600, 1200):
        places.append(step_place("neurons", n_hidden + N_OUTPUTS, n_hidden=n_hidden))
    places += [step_place("tau_e", tau, tau_e=tau) for tau in (10, 30, 100, 300)]
    return places + [step_place("lanes", n, n_lanes=n) for n in (1, 2, 4, 8, 16, 64)]


def plot_cost(target: Path) -> None:
    """Measure all points, print constants and errors, draw them.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigurationError("--cost requires matplotlib: pip install matplotlib") from error
    torch.set_num_threads(1)
    about = machine()
    print(about["date"], about["processor"], "commit", about["commit"])  # noqa: T201
    steps = points_of(step_places())
    frames = points_of([frame_place(tau) for tau in (5, 10, 30, 100, 200)])
    figure = Figure(figsize=(15, 3.2), layout="constrained")
    places = iter(figure.subplots(1, 5))
    for points, names in ((steps, STEP_TERMS), (frames, FRAME_TERMS)):
        found = fit([p.terms for p in points], [p.least_us for p in points])
        _print(points, names, found)
        for axis in dict.fromkeys(point.axis for point in points):
            _draw(next(places), [p for p in points if p.axis == axis], found.constants)
    figure.savefig(target, dpi=100)


def _print(points: list[Point], names: tuple[str, ...], found: Fit) -> None:
    for name, constant in zip(names, found.constants, strict=True):
        print(f"us per {name:10} {constant:.3g}")  # noqa: T201 - the command's output
    for point, error in zip(points, found.errors, strict=True):
        print(  # noqa: T201 - the command's output
            f"{point.axis:18} {point.value:7g}  least {point.least_us:9.2f} us  "
            f"median {point.median_us:9.2f}  fit {100 * error:+6.1f} %"
        )
    worst, middle = np.max(np.abs(found.errors)), np.median(np.abs(found.errors))
    print(f"error of the fit: median {100 * middle:.1f} %, most {100 * worst:.1f} %")  # noqa: T201


def _draw(plot: Any, points: list[Point], constants: Vector) -> None:
    values = [point.value for point in points]
    plot.plot(values, [point.least_us for point in points], "o", label="measured, least")
    plot.plot(values, np.array([point.terms for point in points]) @ constants, label="formula")
    plot.set(
        xlabel=points[0].axis, ylabel="us a frame" if len(points[0].terms) == 2 else "us a step"
    )
    plot.set_ylim(bottom=0)
    plot.legend()
