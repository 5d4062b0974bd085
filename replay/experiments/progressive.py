"""Test-then-train: every recording is decoded and scored first, and learned from afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from streamvdib.engine import Engine, Frame, Learner
from streamvdib.input_steps import input_steps
from streamvdib.learning.targets import FixedTarget

from ..simulation.packed import PackedSteps


@dataclass(frozen=True)
class Presentation:
    """One recording shown to a learning engine."""

    number: int  # from 0
    recording: int
    frame: Frame  # decoded before the update that its last step brings
    seconds: float  # since the first presentation


def present(
    engine: Engine,
    learner: Learner,
    steps: PackedSteps,
    images: npt.NDArray[np.uint8],
    *,
    passes: int,
    seed: int,
) -> Iterator[Presentation]:
    """Show every recording ``passes`` times, each pass in an order of its own.

    Args:
        engine: without geometry, with ``learner``.
        learner: its update period divides the recordings' length.
        steps: the recordings.
        images: what each shows, (n_recordings, height, width), 0 to 255.
        passes: over all recordings.
        seed: of the orders.
    """
    n_steps = steps.bits.shape[1]
    assert n_steps % learner.update_every == 0
    engine.decode_every = n_steps
    random = np.random.default_rng(seed)
    began = time.monotonic()
    number = 0
    for _ in range(passes):
        for recording in random.permutation(len(images)):
            spikes = steps.unpack([recording])[0].reshape(n_steps, 1, -1)
            engine.targets = FixedTarget(images[recording].astype(np.float32) / 255.0)
            inputs = input_steps(spikes, first_step=engine.step, dt_us=steps.dt_us)
            (frame,) = engine.run(replace(inputs, restarts=True))
            yield Presentation(number, int(recording), frame, time.monotonic() - began)
            number += 1


def running_means(values: npt.NDArray[np.float64], window: int) -> list[tuple[int, float]]:
    """Means over consecutive stretches of ``window`` values: (end, mean)."""
    ends = range(window, len(values) + 1, window)
    return [(end, float(values[end - window : end].mean())) for end in ends]
