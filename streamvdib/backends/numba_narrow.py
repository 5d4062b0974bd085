"""Weight rows of 2 or 1 bytes a weight: a spike's cost is reading its rows.

The rows lie in the float32 constants, two or four weights in the place of one. ``numba_rows``
widens and sums them, which gives the sum of wide rows of the same weights (``reduced_weights``),
bit for bit. Two bf16 weights that share a word are those of neurons ``APART``: one instruction then
widens sixteen of them, and they lie in order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from streamvdib.backends.compilation import Floats
from streamvdib.backends.numba_rows import APART
from streamvdib.reduced_weights import BF16, int8_weights

BYTES = {"bf16": 2, "int8": 1}  # of a weight


def write_narrow(target: Floats, scales: Floats, synapses: npt.NDArray[Any], kind: str) -> None:
    """Write synapses as narrow rows.

    Args:
        target: (n_inputs, n_basis, n_padded * bytes of a weight / 4), float32.
        scales: (n_basis, n_padded), written for int8.
        synapses: rounded, (n_basis, n_inputs, n_neurons), float32.
        kind: "bf16" or "int8".
    """
    n_neurons = synapses.shape[2]
    if kind == BF16:
        bits = np.ascontiguousarray(synapses, np.float32).view(np.uint32).transpose(1, 0, 2)
        filled = np.zeros((*target.shape[:2], 2 * target.shape[2]), np.uint32)
        filled[:, :, :n_neurons] = bits
        low, high = np.moveaxis(filled.reshape(*target.shape[:2], -1, 2, APART), 3, 0)
        target.view(np.uint32)[:] = (low >> 16 | high).reshape(target.shape)
        return
    numbers, steps = int8_weights(torch.from_numpy(synapses))
    target.view(np.int8)[:, :, :n_neurons] = numbers.numpy().transpose(1, 0, 2)
    scales[:, :n_neurons] = steps.numpy()[:, 0]
