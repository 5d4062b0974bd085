"""Two drifting Gaussian blobs over twenty spiking lines (Chalk et al., 2018).

    theta_t = theta_{t-1} + v_{t-1}      v_t = 0.9 v_{t-1} - 0.14 eps_t      v_0 = 1
    position = bin of a draw from N(theta_t, 0.45), wrapped, among 20 equal bins of [-pi, pi)

The input is the union of two independent blobs; the target is the unordered pair of positions at
time t + lag, one of 210 classes. Skatchkovsky et al., 2021, section 6.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from streamvdib.learning.batch import Batch
from streamvdib.learning.training_data import Decode

from .predictive_coding_together import Lesson

N_LINES = 20
N_CLASSES = N_LINES * (N_LINES + 1) // 2  # unordered pairs, with repetition
SIGMA, DRIFT, NOISE = 0.45, 0.9, 0.14


@dataclass(frozen=True)
class Blobs:
    """Where the two blobs are, and what the input lines carry."""

    spikes: Tensor  # x, float32, (n_steps, n_sequences, 20)
    classes: Tensor  # of the pair of positions, int64, (n_steps, n_sequences)


def draw_blobs(n_steps: int, n_sequences: int, generator: torch.Generator) -> Blobs:
    """Independent sequences of two blobs each."""
    shape = (n_steps, n_sequences, 2)
    spread = SIGMA * torch.randn(shape, generator=generator)
    push = NOISE * torch.randn(shape, generator=generator)
    start = (2 * torch.rand(shape[1:], generator=generator) - 1) * math.pi
    velocity = torch.empty(shape)  # v_t, from v_0 = 1
    velocity[0] = 1.0
    for step in range(1, n_steps):
        velocity[step] = DRIFT * velocity[step - 1] - push[step]
    theta = start + torch.cumsum(velocity, 0) - velocity  # theta_t: the sum of v before t
    turns = torch.remainder(theta + spread + math.pi, 2 * math.pi) / (2 * math.pi)
    placed = (turns * N_LINES).long().clamp_max(N_LINES - 1)
    spikes = functional.one_hot(placed, N_LINES).amax(2).float()
    return Blobs(spikes, pair_class(placed[..., 0], placed[..., 1]))


def pair_class(one: Tensor, other: Tensor) -> Tensor:
    """Number of an unordered pair of positions, from 0 to 209."""
    low, high = torch.minimum(one, other), torch.maximum(one, other)
    return low * N_LINES - low * (low - 1) // 2 + high - low


def lines_of_classes() -> Tensor:
    """Which lines each class lights, zeros and ones, (210, 20)."""
    lines = torch.zeros(N_CLASSES, N_LINES)
    for low in range(N_LINES):
        for high in range(low, N_LINES):
            number = int(pair_class(torch.tensor(low), torch.tensor(high)))
            lines[number, low] = lines[number, high] = 1.0
    return lines


class BlobExamples:
    """Batches for the "predictive-coding" kind of data; see ``Examples``.

    Args:
        seed: of the sequences.
        lag: delta; the target of step t is the pair at t + lag.
        n_steps: T of a training sequence.
        test_steps: T of the one test sequence.
        warm_up: first step decoded at; tau_d for full windows.
    """

    def __init__(
        self, *, seed: int, lag: int = 0, n_steps: int = 100, test_steps: int = 1000,
        warm_up: int = 5,
    ) -> None:  # fmt: skip
        self.seed, self.lag, self.n_steps = seed, lag, n_steps
        self.test_steps, self.warm_up = test_steps, warm_up
        self.lines = lines_of_classes()

    def batch(self, number: int, size: int) -> Batch:
        """See ``Examples``."""
        blobs = self.blobs(number, size)
        steps = self._steps(self.n_steps)
        targets = functional.one_hot(blobs.classes[self._targets(steps)], N_CLASSES).float()
        return Batch(blobs.spikes, targets, list(steps))

    def lesson(self, blobs: Blobs) -> Lesson:
        """The same batch for a training side by side with others."""
        steps = self._steps(self.n_steps)
        return Lesson(blobs.spikes, blobs.classes[self._targets(steps)], steps)

    def blobs(self, number: int, size: int) -> Blobs:
        """What batch ``number`` is made of; the same for every lag."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        return draw_blobs(self.n_steps, size, generator)

    def validate(self, decode: Decode) -> dict[str, float]:
        """Scores on one test sequence, which no training batch holds.

        ``mse`` is that between the lines lit at t + lag and their decoded probabilities.
        """
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 - 1)
        blobs = draw_blobs(self.test_steps, 1, generator)
        steps = self._steps(self.test_steps)
        estimates, readout = decode(blobs.spikes, list(steps))
        classes = blobs.classes[self._targets(steps), 0]
        probabilities = estimates[:, 0]
        return {
            "accuracy": float((probabilities.argmax(1) == classes).float().mean()),
            "mse": float((probabilities @ self.lines - self.lines[classes]).square().mean()),
            "spike_rate": float(readout.mean()),
        }

    def _steps(self, n_steps: int) -> range:
        first = max(self.warm_up, -self.lag)
        return range(first, n_steps - max(0, self.lag))

    def _targets(self, steps: range) -> list[int]:
        return [step + self.lag for step in steps]
