"""A learner for trials: its weights wander by target and spikes, deterministic and quick.

    w <- w + rate * (mean target - running mean of targets) * direction_n

It teaches nothing. It changes encoder and decoder weights at every update, remembers a running
mean and a count, and so shows whether all that changes is saved.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.backends import EncoderTrace
from streamvdib.encoder import LayerWeights, Weights
from streamvdib.errors import CheckpointError
from streamvdib.model import Model
from streamvdib.spike_window import SpikeWindow


class WanderingLearner:
    """Changes every weight a little at each update. Memory: three numbers.

    Args:
        model: whose decoder changes in place.
        update_every: steps between updates.
        rate: size of a change.
    """

    def __init__(self, model: Model, *, update_every: int = 3, rate: float = 0.01) -> None:
        self.update_every, self.rate = update_every, rate
        self.paused = False
        self._decoder = model.decoder
        self._weights = model.weights
        self._mean = torch.zeros(())
        self._n_spikes = torch.zeros((), dtype=torch.int64)
        self._n_updates = torch.zeros((), dtype=torch.int64)

    def watch(self, trace: EncoderTrace) -> None:
        """See ``Learner``."""
        self._n_spikes += int(np.count_nonzero(trace.spikes[-1]))

    def learn(
        self, window: SpikeWindow, target: npt.NDArray[np.float32] | None, end_us: int
    ) -> Weights | None:
        """See ``Learner``."""
        if target is None:
            return None
        self._n_updates += 1
        self._mean = 0.9 * self._mean + 0.1 * float(target.mean())
        size = self.rate * (float(target.mean()) - self._mean + 0.01 * float(window.ring.mean()))
        sign = 1 if int(self._n_updates + self._n_spikes) % 2 else -1
        with torch.no_grad():
            for parameter in self._decoder.parameters():
                parameter.add_(sign * size)
        self._weights = tuple(
            LayerWeights(w.synapses + sign * size, w.feedback, w.bias - sign * size)
            for w in self._weights
        )
        return self._weights

    def restart(self) -> None:
        """See ``Learner``."""
        self._n_spikes.zero_()

    def tensors(self) -> Mapping[str, Tensor]:
        """See ``Learner``."""
        return {
            "mean": self._mean,
            "n_spikes": self._n_spikes,
            "n_updates": self._n_updates,
            **{f"{i}.{n}": t for i, w in enumerate(self._weights) for n, t in w.tensors()},
        }

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """See ``Learner``."""
        if set(tensors) != set(self.tensors()):
            raise CheckpointError(f"a wandering learner's state was expected; got {set(tensors)}")
        self._mean, self._n_spikes, self._n_updates = (
            tensors[name].clone() for name in ("mean", "n_spikes", "n_updates")
        )
        self._weights = tuple(
            LayerWeights(*(tensors[f"{i}.{n}"].clone() for n, _ in w.tensors()))
            for i, w in enumerate(self._weights)
        )


class ConstantTargets:
    """A target for every moment: a square whose brightness follows the time."""

    def __init__(self, shape: tuple[int, ...] = (1, 5, 5)) -> None:
        self.shape = shape

    def at(self, end_us: int) -> npt.NDArray[np.float32] | None:
        """See ``Targets``."""
        return np.full(self.shape, (end_us // 1000 % 17) / 16, dtype=np.float32)
