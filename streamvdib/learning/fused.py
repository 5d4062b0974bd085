"""Adam on a CPU in one pass over memory, and freed memory kept by the process.

Training allocates the same large tensors again and again. The C library by default gives such
blocks back to the system and gets them page by page; kept, a step takes a third of the time.
"""

from __future__ import annotations

import ctypes
import math
import sys

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor

Float32 = npt.NDArray[np.float32]
M_TRIM_THRESHOLD = -1  # malloc.h
M_MMAP_THRESHOLD = -3
LARGEST_KEPT = 1 << 25  # bytes, the most that glibc allows
TRIM_THRESHOLD = 1 << 30


def keep_freed_memory() -> bool:
    """Tell glibc not to give freed blocks back; False where there is no glibc."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT) and mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD)
    )


def can_fuse(tensors: list[Tensor]) -> bool:
    """Whether all tensors are plain contiguous float32 on the CPU."""
    return all(
        type(t) is Tensor
        and t.device.type == "cpu"
        and t.dtype == torch.float32
        and t.is_contiguous()
        for t in tensors
    )


def fused_adam(
    weight: Tensor, gradient: Tensor, mean: Tensor, square: Tensor,
    constants: tuple[float, float, float], n_updates: int, learning_rate: float,
) -> None:  # fmt: skip
    """One Adam update of one tensor, in place; constants are (b1, b2, eps)."""
    beta_mean, beta_square, epsilon = constants
    rate = learning_rate / (1 - beta_mean**n_updates)
    scale = 1 / math.sqrt(1 - beta_square**n_updates)
    _adam(
        _flat(weight), _flat(gradient), _flat(mean), _flat(square),
        np.float32(1 - beta_mean), np.float32(beta_square), np.float32(1 - beta_square),
        np.float32(scale), np.float32(epsilon), np.float32(rate),
    )  # fmt: skip


def _flat(tensor: Tensor) -> Float32:
    values: Float32 = tensor.detach().view(-1).numpy()
    return values


@njit(cache=True, nogil=True, error_model="numpy")
def _adam(
    weight: Float32, gradient: Float32, mean: Float32, square: Float32, one_minus_b1: np.float32,
    b2: np.float32, one_minus_b2: np.float32, scale: np.float32, epsilon: np.float32,
    rate: np.float32,
) -> None:  # fmt: skip
    for i in range(weight.size):
        g = gradient[i]
        mean[i] += one_minus_b1 * (g - mean[i])
        square[i] = b2 * square[i] + one_minus_b2 * g * g
        weight[i] -= rate * mean[i] / (np.sqrt(square[i]) * scale + epsilon)
