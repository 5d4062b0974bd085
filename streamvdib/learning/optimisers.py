"""Optimisers over named tensors, in place: SGD, momentum, Adam; and clipping.

    SGD        w <- w - eta g
    momentum   m <- mu m + g                       w <- w - eta m
    Adam       m <- b1 m + (1 - b1) g,  s <- b2 s + (1 - b2) g^2     (Kingma and Ba, 2015)
               w <- w - eta (m / (1 - b1^n)) / (sqrt(s / (1 - b2^n)) + eps)

Constants are frozen; what they remember is ``OptimiserState``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from streamvdib.errors import ConfigurationError
from streamvdib.learning.fused import can_fuse, fused_adam

Tensors = dict[str, Tensor]


@dataclass
class OptimiserState:
    """Memory: none (SGD), once (momentum) or twice (Adam) the tensors."""

    n_updates: int = 0
    first: Tensors = field(default_factory=dict)  # m
    second: Tensors = field(default_factory=dict)  # s


class Optimiser(Protocol):
    """Changes tensors in place from gradients."""

    def update(
        self, tensors: Tensors, gradients: Tensors, state: OptimiserState, learning_rate: float
    ) -> None:
        """One update; only tensors that have a gradient change."""

    def largest_change(self, norm: float, learning_rate: float) -> float:
        """What no weight changes by more than in an update of gradients of this norm."""


@dataclass(frozen=True)
class SGD:
    """Gradient descent, with momentum if ``momentum`` is above 0."""

    momentum: float = 0.0

    def update(
        self, tensors: Tensors, gradients: Tensors, state: OptimiserState, learning_rate: float
    ) -> None:
        """See ``Optimiser``."""
        names = [name for name in tensors if name in gradients]
        if not names:
            return
        state.n_updates += 1
        steps = [gradients[name] for name in names]
        if self.momentum > 0.0:
            _remember(state.first, tensors, names)
            means = [state.first[name] for name in names]
            torch._foreach_mul_(means, self.momentum)
            torch._foreach_add_(means, steps)
            steps = means
        torch._foreach_add_([tensors[name] for name in names], steps, alpha=-learning_rate)

    def largest_change(self, norm: float, learning_rate: float) -> float:
        """See ``Optimiser``; with momentum if no gradient before had a larger norm."""
        return learning_rate * norm / (1 - self.momentum)


@dataclass(frozen=True)
class Adam:
    """Kingma and Ba, 2015 (arXiv:1412.6980)."""

    beta_mean: float = 0.9
    beta_square: float = 0.999
    epsilon: float = 1e-8

    def update(
        self, tensors: Tensors, gradients: Tensors, state: OptimiserState, learning_rate: float
    ) -> None:
        """See ``Optimiser``."""
        names = [name for name in tensors if name in gradients]
        if not names:
            return
        state.n_updates += 1
        _remember(state.first, tensors, names)
        _remember(state.second, tensors, names)
        means = [state.first[name] for name in names]
        squares = [state.second[name] for name in names]
        given = [gradients[name] for name in names]
        if can_fuse([*(tensors[name] for name in names), *given]):
            constants = (self.beta_mean, self.beta_square, self.epsilon)
            for name, gradient, mean, square in zip(names, given, means, squares, strict=True):
                fused_adam(
                    tensors[name], gradient, mean, square, constants, state.n_updates,
                    learning_rate,
                )  # fmt: skip
            return
        torch._foreach_lerp_(means, given, 1 - self.beta_mean)
        torch._foreach_mul_(squares, self.beta_square)
        torch._foreach_addcmul_(squares, given, given, 1 - self.beta_square)
        scales = torch._foreach_sqrt(squares)
        torch._foreach_div_(scales, math.sqrt(1 - self.beta_square**state.n_updates))
        torch._foreach_add_(scales, self.epsilon)
        rate = -learning_rate / (1 - self.beta_mean**state.n_updates)
        torch._foreach_addcdiv_([tensors[name] for name in names], means, scales, rate)

    def largest_change(self, norm: float, learning_rate: float) -> float:
        """See ``Optimiser``; the paper's section 2.1, whatever the gradients are."""
        return learning_rate * max(1.0, (1 - self.beta_mean) / math.sqrt(1 - self.beta_square))


def _remember(memory: Tensors, tensors: Tensors, names: list[str]) -> None:
    for name in names:
        if name not in memory:
            memory[name] = torch.zeros_like(tensors[name])


def make_optimiser(kind: str, **options: float) -> Optimiser:
    """The optimiser of that name: "sgd", "momentum" or "adam"."""
    if kind == "adam":
        return Adam(**options)
    if kind == "sgd":
        return SGD(**options)
    if kind == "momentum":
        return SGD(**({"momentum": 0.9} | options))
    raise ConfigurationError(f"an optimiser must be one of sgd, momentum, adam; got {kind!r}")


def gradient_norm(gradients: Tensors) -> Tensor:
    """Euclidean norm over all gradients, a scalar tensor."""
    norms = torch._foreach_norm(list(gradients.values()))
    together: Tensor = torch.linalg.vector_norm(torch.stack(list(norms)))
    return together


def clip(gradients: Tensors, norm: Tensor, largest: float) -> None:
    """Scale all gradients in place so that their common norm is at most ``largest``."""
    scale = torch.clamp(largest / (norm + 1e-12), max=1.0)
    torch._foreach_mul_(list(gradients.values()), scale)


def update_module(
    optimiser: Optimiser,
    module: nn.Module,
    gradients: Tensors,
    memory: OptimiserState,
    learning_rate: float,
) -> None:
    """Update a module's parameters in place; torch, which sees no write to .data, is told."""
    parameters = dict(module.named_parameters())
    values = {name: parameter.data for name, parameter in parameters.items()}
    optimiser.update(values, gradients, memory, learning_rate)
    torch.autograd.graph.increment_version(parameters.values())
