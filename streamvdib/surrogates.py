"""Surrogate derivatives: what stands for the derivative of the step function in learning.

boxcar       1 on (-1/2, 1/2], else 0                       (Kaiser et al., 2020, DECOLLE)
sigmoid      sigma(u) (1 - sigma(u))                        (Skatchkovsky et al., 2021, eq. 22)
superspike   1 / (1 + |u|)^2                                (Zenke and Ganguli, 2018)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from streamvdib.errors import ConfigurationError


def boxcar(potential: Tensor) -> Tensor:
    """1 where -1/2 < u <= 1/2, else 0; same shape and type as ``potential``."""
    return ((potential > -0.5) & (potential <= 0.5)).to(potential.dtype)


def sigmoid(potential: Tensor) -> Tensor:
    """sigma'(u); at most 1/4."""
    probability = torch.sigmoid(potential)
    return probability * (1 - probability)


def superspike(potential: Tensor) -> Tensor:
    """The derivative of the fast sigmoid u / (1 + |u|); 1 at the threshold."""
    return (1 + potential.abs()).pow(-2)


SURROGATES: dict[str, Callable[[Tensor], Tensor]] = {
    "boxcar": boxcar,
    "sigmoid": sigmoid,
    "superspike": superspike,
}


def surrogate_derivative(name: str, potential: Tensor) -> Tensor:
    """The surrogate of that name at the potential (relative to the threshold)."""
    try:
        return SURROGATES[name](potential)
    except KeyError:
        raise ConfigurationError(
            f"a surrogate derivative must be one of {', '.join(SURROGATES)}; got {name!r}"
        ) from None
