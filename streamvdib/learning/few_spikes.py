"""Products with few spikes on a CPU, event by event: rows are added where there is a spike.

    current_r = sum over j of x_{r,j} W_j        gradient_j = sum over r of x_{r,j} delta_r

A row costs (spikes x neurons) instead of (inputs x neurons); the sums run in another order than in
a dense product, so they agree to rounding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor

Float32 = npt.NDArray[np.float32]
MOST = 0.02  # share of spikes; with more, a dense product wins or the gain is small


def are_few(spikes: Tensor) -> bool:
    """Whether the products below pay for ``spikes``, 0 or 1: few, float32, on a CPU."""
    if type(spikes) is not Tensor or spikes.device.type != "cpu" or spikes.dtype != torch.float32:
        return False
    return float(spikes.sum()) <= MOST * spikes.numel()


def current_of_few(spikes: Tensor, weights: Tensor) -> Tensor:
    """Spikes (n, n_inputs) times weights (n_inputs, n_neurons)."""
    result = np.zeros((len(spikes), weights.shape[1]), np.float32)
    _add_rows_of_weights(spikes.numpy(), weights.detach().numpy(), result)
    return torch.from_numpy(result)


def gradient_of_few(spikes: Tensor, signal: Tensor) -> Tensor:
    """Spikes (n, n_inputs), transposed, times a signal (n, n_neurons)."""
    result = np.zeros((spikes.shape[1], signal.shape[1]), np.float32)
    _add_rows_of_signal(spikes.numpy(), signal.numpy(), result)
    return torch.from_numpy(result)


@njit(cache=True, nogil=True)
def _add_rows_of_weights(spikes: Float32, weights: Float32, result: Float32) -> None:
    for row in range(spikes.shape[0]):
        for source in range(spikes.shape[1]):
            spike = spikes[row, source]
            if spike != 0:
                for neuron in range(weights.shape[1]):
                    result[row, neuron] += spike * weights[source, neuron]


@njit(cache=True, nogil=True)
def _add_rows_of_signal(spikes: Float32, signal: Float32, result: Float32) -> None:
    for row in range(spikes.shape[0]):
        for source in range(spikes.shape[1]):
            spike = spikes[row, source]
            if spike != 0:
                for neuron in range(signal.shape[1]):
                    result[source, neuron] += spike * signal[row, neuron]
