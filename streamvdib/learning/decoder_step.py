"""One decoding that learns: the loss of a window, and an update of the decoder from it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.learning.decoder_signal import DecoderSignal, decoder_signal
from streamvdib.learning.optimisers import Optimiser, OptimiserState, gradient_norm, update_module
from streamvdib.model import Model
from streamvdib.spike_window import SpikeWindow

Target = npt.NDArray[np.float32]


class DecoderStep:
    """Memory: one gradient of the decoder, and what the optimiser remembers."""

    def __init__(self, model: Model, optimiser: Optimiser) -> None:
        self.model, self.optimiser = model, optimiser
        self.memory = OptimiserState()
        self._signal: DecoderSignal | None = None

    def share(self, decoding: object) -> None:
        """Take over what the decoder of an engine's frames has worked out: nothing here."""

    def loss(self, window: SpikeWindow, target: Target) -> tuple[float, float]:
        """Nats, and the squared norm of the gradient that ``update`` will follow."""
        some = next(self.model.decoder.parameters())
        spikes = window.tensor(dtype=some.dtype, device=some.device).transpose(0, 1)
        targets = torch.from_numpy(np.asarray(target)).to(some.device, some.dtype)[None]
        model = self.model
        self._signal = decoder_signal(
            model.decoder, model.likelihood, spikes, targets, [model.tau_d - 1], model.tau_d
        )
        norm = float(gradient_norm(self._signal.gradients))
        return float(self._signal.losses.mean()), norm * norm

    def update(self, learning_rate: float) -> None:
        """Follow the gradient of the last ``loss``."""
        if self._signal is None:
            return
        with torch.no_grad():
            decoder, gradients = self.model.decoder, self._signal.gradients
            update_module(self.optimiser, decoder, gradients, self.memory, learning_rate)
        self._signal = None

    def tensors(self) -> dict[str, Tensor]:
        """What the optimiser remembers, by name."""
        named = {f"decoder_optimiser.first.{n}": t for n, t in self.memory.first.items()}
        named |= {f"decoder_optimiser.second.{n}": t for n, t in self.memory.second.items()}
        return named | {"decoder_optimiser.n_updates": torch.tensor(self.memory.n_updates)}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what ``tensors`` gave."""
        for kind, memory in (("first", self.memory.first), ("second", self.memory.second)):
            prefix = f"decoder_optimiser.{kind}."
            memory.clear()
            memory.update(
                {n[len(prefix) :]: t.clone() for n, t in tensors.items() if n.startswith(prefix)}
            )
        self.memory.n_updates = int(tensors["decoder_optimiser.n_updates"])
