"""Likelihoods q(r_t | window): what a decoder's numbers say about the natural signal.

    Bernoulli     -log q = sum_p [softplus(a_p) - r_p a_p]        estimate sigma(a)
    Gaussian      -log q = sum_p [(r_p - a_p)^2 / (2 s^2) + log(s sqrt(2 pi))]   estimate a
    categorical   -log q = log sum_c exp(a_c) - sum_c r_c a_c     estimate softmax(a)

a are the decoder's natural parameters, r the target. Skatchkovsky et al., 2021, eq. 10: the
decoder loss is -log q in nats, here per lane and step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from streamvdib.errors import ConfigurationError


class Likelihood(Protocol):
    """A distribution of the target given the decoder's parameters."""

    @property
    def name(self) -> str:
        """The name in configurations."""

    def log_loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        """-log q in nats, (n,), from parameters and targets of shape (n, ...)."""

    def estimate(self, parameters: Tensor) -> Tensor:
        """The mean of the distribution: the natural frame, same shape."""


@dataclass(frozen=True)
class Bernoulli:
    """Each pixel is on with probability sigma(a); targets in [0, 1]."""

    name: str = "bernoulli"

    def log_loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        """See ``Likelihood``."""
        return (functional.softplus(parameters) - target * parameters).flatten(1).sum(1)

    def estimate(self, parameters: Tensor) -> Tensor:
        """See ``Likelihood``."""
        return torch.sigmoid(parameters)


@dataclass(frozen=True)
class Gaussian:
    """Each pixel is normal around a with deviation s."""

    deviation: float = 0.1
    name: str = "gaussian"

    def log_loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        """See ``Likelihood``."""
        normalizer = math.log(self.deviation * math.sqrt(2 * math.pi))
        errors = ((target - parameters) / self.deviation).square() / 2 + normalizer
        return errors.flatten(1).sum(1)

    def estimate(self, parameters: Tensor) -> Tensor:
        """See ``Likelihood``."""
        return parameters


@dataclass(frozen=True)
class Categorical:
    """One of n classes; targets are probabilities over the last dimension."""

    name: str = "categorical"

    def log_loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        """See ``Likelihood``."""
        return -(target * functional.log_softmax(parameters, -1)).flatten(1).sum(1)

    def estimate(self, parameters: Tensor) -> Tensor:
        """See ``Likelihood``."""
        return torch.softmax(parameters, -1)


def likelihood(name: str, deviation: float = 0.1) -> Likelihood:
    """The likelihood of that name."""
    if name == "gaussian":
        return Gaussian(deviation)
    if name == "bernoulli":
        return Bernoulli()
    if name == "categorical":
        return Categorical()
    raise ConfigurationError(
        f"a likelihood must be one of bernoulli, gaussian, categorical; got {name!r}"
    )
