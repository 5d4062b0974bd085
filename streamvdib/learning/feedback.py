"""How the readout's learning signal reaches a hidden layer.

symmetric   L_s = sum_k (M_k^T delta)_s W_k^T, layer by layer: the exact gradient path
random      L_s = sum_i B_i delta_{i,s}, straight from the readout, B fixed (eq. 21,
            direct feedback alignment: Nokland, 2016, arXiv:1609.01596)
aligned     as random, but B of the last hidden layer takes the same changes as the
            readout's weights and both decay (Kolen and Pollack, 1994; Akrout et al., 2019,
            arXiv:1904.05391), so that they come to agree
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from streamvdib.encoder import Encoder
from streamvdib.errors import ConfigurationError


def feedback_name(layer: int) -> str:
    """Name of the matrix that brings the readout's signal to hidden layer ``layer``."""
    return f"feedback.{layer}"


def initial_feedback(encoder: Encoder, kind: str, generator: torch.Generator) -> dict[str, Tensor]:
    """B of every hidden layer, Kaiming-uniform, (n_readout, n_hidden); none if symmetric."""
    if kind == "symmetric":
        return {}
    sizes = [math.prod(shape) for shape in encoder.layer_shapes]
    if kind == "aligned" and len(sizes) > 1 and len(encoder.layer_shapes[-2]) != 1:
        raise ConfigurationError(
            "aligned feedback requires a dense last hidden layer; use random or symmetric feedback"
        )
    matrices = {}
    for layer, n_hidden in enumerate(sizes[:-1]):
        bound = math.sqrt(6.0 / ((1 + 5.0) * n_hidden))
        uniform = torch.rand((sizes[-1], n_hidden), generator=generator)
        matrices[feedback_name(layer)] = (2 * uniform - 1) * bound
    return matrices


def direct_signal(matrix: Tensor, delta: Tensor) -> Tensor:
    """Signal (n_steps, n_lanes, n_readout) through B, (n_steps, n_lanes, n_hidden)."""
    return (delta.flatten(0, 1) @ matrix).view(*delta.shape[:2], -1)


def alignment_gradient(readout_gradient: Tensor) -> Tensor:
    """The change of B that mirrors the readout's: sum over basis functions, transposed."""
    return readout_gradient.sum(0).T
