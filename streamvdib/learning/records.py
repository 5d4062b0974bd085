"""What the last steps left for learning: bounded rings of e-prop's factors.

Per step and layer: the spikes that fed it, its own spikes and its potentials. An eligibility
trace is an outer product of two vectors that follow from these (eq. 19, 22), so nothing of the
size of the weights is kept per step.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.backends import EncoderTrace
from streamvdib.encoder import Encoder
from streamvdib.learning.sequence import LayerSequence

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]


class Records:
    """Rings of the last ``capacity`` steps of every lane.

    Memory: capacity * n_lanes * (n_inputs + 5 n_neurons) bytes, allocated once.
    """

    def __init__(self, encoder: Encoder, capacity: int, n_lanes: int) -> None:
        self.encoder, self.capacity, self.n_lanes = encoder, capacity, n_lanes
        sizes = [math.prod(shape) for shape in encoder.layer_shapes]
        self.inputs: UInt8 = np.zeros((capacity, n_lanes, encoder.n_inputs), np.uint8)
        self.spikes: list[UInt8] = [np.zeros((capacity, n_lanes, n), np.uint8) for n in sizes]
        self.potentials: list[Float32] = [
            np.zeros((capacity, n_lanes, n), np.float32) for n in sizes
        ]
        self.n_seen = 0  # steps since the last restart
        self.n_new = 0  # steps since the last update

    def push(self, trace: EncoderTrace) -> None:
        """Append a chunk of steps."""
        n_steps = trace.inputs.n_steps
        kept = min(n_steps, self.capacity)
        first = self.n_seen + n_steps - kept
        rows = np.arange(first, first + kept) % self.capacity
        self.inputs[rows] = trace.inputs.part(n_steps - kept, n_steps).dense()
        for layer, (spikes, potentials) in enumerate(
            zip(trace.spikes, trace.potentials, strict=True)
        ):
            self.spikes[layer][rows] = spikes[n_steps - kept :]
            self.potentials[layer][rows] = potentials[n_steps - kept :]
        self.n_seen += n_steps
        self.n_new += n_steps

    def clear(self) -> None:
        """Forget: the stream began again."""
        self.n_seen = self.n_new = 0

    @property
    def n_held(self) -> int:
        """Steps in the rings since the last restart."""
        return min(self.n_seen, self.capacity)

    def sequences(self, dtype: torch.dtype, device: torch.device) -> tuple[LayerSequence, ...]:
        """What the rings hold, oldest step first, for ``gradients.estimate``."""
        rows = np.arange(self.n_seen - self.n_held, self.n_seen) % self.capacity

        def ordered(ring: UInt8 | Float32) -> Tensor:
            return torch.from_numpy(ring[rows]).to(device, dtype)

        sources = ordered(self.inputs)
        sequences = []
        for spikes, potentials in zip(self.spikes, self.potentials, strict=True):
            own = ordered(spikes)
            sequences.append(LayerSequence(sources, own, ordered(potentials)))
            sources = own
        return tuple(sequences)

    def tensors(self) -> dict[str, Tensor]:
        """Everything of it, by name; the tensors share its memory."""
        named = {
            "records.inputs": torch.from_numpy(self.inputs),
            "records.counts": torch.tensor([self.n_seen, self.n_new]),
        }
        for layer, (spikes, potentials) in enumerate(
            zip(self.spikes, self.potentials, strict=True)
        ):
            named[f"records.{layer}.spikes"] = torch.from_numpy(spikes)
            named[f"records.{layer}.potentials"] = torch.from_numpy(potentials)
        return named

    def load_counts(self, counts: Tensor) -> None:
        """Set how many steps were seen, and how many since the last update."""
        self.n_seen, self.n_new = (int(count) for count in counts)
