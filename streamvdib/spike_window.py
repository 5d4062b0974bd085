"""The last tau_d readout spike vectors: the only past that a decoder may see.

A ring buffer, allocated once. Skatchkovsky et al., 2021, eq. 7: y_{t-tau_d}^t holds the tau_d
samples up to and including t.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.errors import ConfigurationError

SpikeArray = npt.NDArray[np.uint8]


class SpikeWindow:
    """Ring of the last tau_d spike vectors of every lane; silence before the first.

    Memory: tau_d * n_lanes * n_neurons bytes.

    >>> window = SpikeWindow(tau_d=2, n_lanes=1, n_neurons=1)
    >>> window.push(np.array([[[1]], [[0]], [[1]]], dtype=np.uint8))
    >>> window.ordered()[0, :, 0].tolist()
    [0, 1]
    """

    def __init__(self, tau_d: int, n_lanes: int, n_neurons: int) -> None:
        if min(tau_d, n_lanes, n_neurons) < 1:
            raise ConfigurationError(
                "a spike window requires tau_d, n_lanes and n_neurons of at least 1; "
                f"got {tau_d}, {n_lanes}, {n_neurons}"
            )
        self.ring: SpikeArray = np.zeros((tau_d, n_lanes, n_neurons), dtype=np.uint8)
        self.n_pushed = 0  # row of the ring that the next step will take, modulo tau_d

    @property
    def tau_d(self) -> int:
        """Steps remembered."""
        return len(self.ring)

    def push(self, spikes: SpikeArray) -> None:
        """Append steps, oldest first, (n_steps, n_lanes, n_neurons)."""
        if spikes.shape[1:] != self.ring.shape[1:]:
            raise ConfigurationError(
                f"spikes must have shape (n_steps, {self.ring.shape[1]}, {self.ring.shape[2]}); "
                f"got {spikes.shape}"
            )
        tau_d, n_steps = self.tau_d, len(spikes)
        kept = spikes[-tau_d:]
        first = (self.n_pushed + n_steps - len(kept)) % tau_d
        n_before_end = min(len(kept), tau_d - first)
        self.ring[first : first + n_before_end] = kept[:n_before_end]
        self.ring[: len(kept) - n_before_end] = kept[n_before_end:]
        self.n_pushed += n_steps

    def clear(self) -> None:
        """Forget every spike, as before the first step."""
        self.ring[:] = 0

    def ordered(self) -> SpikeArray:
        """A copy, oldest step first, (n_lanes, tau_d, n_neurons)."""
        oldest = self.n_pushed % self.tau_d
        return np.concatenate((self.ring[oldest:], self.ring[:oldest])).transpose(1, 0, 2)

    def tensor(self, *, dtype: torch.dtype, device: torch.device | str) -> Tensor:
        """``ordered`` as a tensor of numbers."""
        return torch.from_numpy(np.ascontiguousarray(self.ordered())).to(device, dtype)
