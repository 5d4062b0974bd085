"""Responses over whole sequences: a causal filter as a banded matrix, learning as its transpose.

    (alpha * x)_t = sum_s M_{t,s} x_s,   M_{t,s} = alpha_{t-s} for 0 <= t - s < tau_e, else 0

The gradient of a filtered signal runs backwards in time through M^T, within the sequence.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from streamvdib.responses import Response


@lru_cache(maxsize=64)
def response_matrices(
    response: Response, n_steps: int, delay: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """M of each basis function, (n_basis, n_steps, n_steps).

    Args:
        response: the kernels.
        n_steps: T.
        delay: steps before lag 0 acts; 1 for the feedback response, which sees z_{t-1}.
        dtype: of the result.
        device: of the result.
    """
    kernels = torch.tensor(response.kernels, dtype=dtype, device=device)
    steps = torch.arange(n_steps, device=device)
    lags = steps.unsqueeze(1) - steps.unsqueeze(0) - delay
    inside = (lags >= 0) & (lags < response.tau_e)
    values = kernels.index_select(1, lags.clamp(0, response.tau_e - 1).flatten())
    return torch.where(inside, values.view(len(kernels), n_steps, n_steps), 0.0)


def matrices_like(response: Response, signal: Tensor, delay: int = 0) -> Tensor:
    """``response_matrices`` for a signal (n_steps, ...), of its type and on its device."""
    return response_matrices(response, len(signal), delay, signal.dtype, signal.device)


def apply(matrix: Tensor, signal: Tensor) -> Tensor:
    """One matrix (n_steps, n_steps) times a signal (n_steps, ...), same shape as the signal."""
    return (matrix @ signal.flatten(1)).view(signal.shape)
