"""Weight rows of 2 or 1 bytes a weight: a spike's cost is reading its rows.

The rows lie in the float32 constants, two or four weights in the place of one. ``numba_rows``
widens and sums them, which gives the sum of wide rows of the same weights (``reduced_weights``),
bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from streamvdib.backends.compilation import Floats
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
        bits = np.ascontiguousarray(synapses, np.float32).view(np.uint32) >> 16
        target.view(np.uint16)[:, :, :n_neurons] = bits.transpose(1, 0, 2)
        return
    numbers, steps = int8_weights(torch.from_numpy(synapses))
    target.view(np.int8)[:, :, :n_neurons] = numbers.numpy().transpose(1, 0, 2)
    scales[:, :n_neurons] = steps.numpy()[:, 0]
