"""The draws of ``streamvdib.randomness`` for whole batches on a CPU, compiled; same numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor

from streamvdib import randomness

HALF = np.uint64(32)
STEP_BITS = np.uint64(24)
EIGHT = np.uint64(8)
SCALE = np.float32(1.0 / (1 << 24))


def draws(keys: Tensor, first_step: int, n_steps: int, n_neurons: int) -> Tensor:
    """As ``randomness.draws``: float32, (n_steps, n_lanes, n_neurons), on the keys' device."""
    if keys.device.type != "cpu" or type(keys) is not Tensor:
        return randomness.draws(keys, first_step, n_steps, n_neurons)
    result = np.empty((n_steps, len(keys), n_neurons), np.float32)
    _fill(keys.numpy().view(np.uint64), np.uint64(first_step), result)
    return torch.from_numpy(result)


@njit(cache=True, nogil=True)
def _fill(
    keys: npt.NDArray[np.uint64], first_step: np.uint64, result: npt.NDArray[np.float32]
) -> None:
    n_steps, n_lanes, n_neurons = result.shape
    for step in range(n_steps):
        base = (first_step + np.uint64(step)) << STEP_BITS
        for lane in range(n_lanes):
            key = keys[lane]
            for neuron in range(n_neurons):
                y = (base + np.uint64(neuron)) * key
                z = y + key
                x = y * y + y
                x = (x >> HALF) | (x << HALF)
                x = x * x + z
                x = (x >> HALF) | (x << HALF)
                x = x * x + y
                x = (x >> HALF) | (x << HALF)
                word = (x * x + z) >> HALF
                result[step, lane, neuron] = np.float32(word >> EIGHT) * SCALE
