"""Connections: weights between one layer's spikes and the next layer's postsynaptic currents.

    I_{k,i} = sum_j W_{k,j,i} z_j        k = 1..K basis functions of the spike response

Filtering over time and weighting over neurons commute, so the weights are applied to the spikes
of one step, and the current is filtered by the neuron. Event-driven backends sum the rows of the
active inputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from streamvdib.errors import ConfigurationError, GeometryError

Shape = tuple[int, ...]  # (n_neurons,) or (channels, height, width)


class Connection(Protocol):
    """How one layer's spikes reach the next layer; constants without weights."""

    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the layer that it feeds."""

    def weight_shape(self, input_shape: Shape, n_basis: int) -> Shape:
        """Shape of the weights, the K basis functions first."""

    def n_parameters(self, input_shape: Shape) -> int:
        """How many biases (and feedback weights) the layer has: neurons, or channels if shared."""

    def current(self, weights: Tensor, spikes: Tensor, input_shape: Shape) -> Tensor:
        """Spikes (n, n_inputs) into currents (n, n_basis, n_outputs)."""


@dataclass(frozen=True)
class Dense:
    """Every input reaches every neuron; weights (n_basis, n_inputs, n_neurons)."""

    n_neurons: int

    def output_shape(self, input_shape: Shape) -> Shape:
        """See ``Connection``."""
        return (self.n_neurons,)

    def weight_shape(self, input_shape: Shape, n_basis: int) -> Shape:
        """See ``Connection``."""
        return (n_basis, math.prod(input_shape), self.n_neurons)

    def n_parameters(self, input_shape: Shape) -> int:
        """See ``Connection``."""
        return self.n_neurons

    def current(self, weights: Tensor, spikes: Tensor, input_shape: Shape) -> Tensor:
        """See ``Connection``."""
        n_basis, n_inputs, n_neurons = weights.shape
        if n_basis == 1:
            return (spikes @ weights[0])[:, None]
        flat = weights.permute(1, 0, 2).reshape(n_inputs, n_basis * n_neurons)
        return (spikes @ flat).view(len(spikes), n_basis, n_neurons)


@dataclass(frozen=True)
class Convolution:
    """Shared weights (n_basis, channels, input channels, kernel, kernel): fits any sensor size."""

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1

    def __post_init__(self) -> None:
        if min(self.channels, self.kernel, self.stride) < 1 or self.padding < 0:
            raise ConfigurationError(f"a convolution requires positive sizes; got {self}")

    def output_shape(self, input_shape: Shape) -> Shape:
        """See ``Connection``."""
        if len(input_shape) != 3:
            raise GeometryError(
                "a convolutional layer must be fed (channels, height, width); "
                f"got {input_shape}. Put convolutional layers before dense ones."
            )
        sizes = [
            (size + 2 * self.padding - self.kernel) // self.stride + 1 for size in input_shape[1:]
        ]
        if min(sizes) < 1:
            raise GeometryError(
                f"a {self.kernel}x{self.kernel} convolution must fit its input; got {input_shape}"
            )
        return (self.channels, *sizes)

    def weight_shape(self, input_shape: Shape, n_basis: int) -> Shape:
        """See ``Connection``."""
        return (n_basis, self.channels, input_shape[0], self.kernel, self.kernel)

    def n_parameters(self, input_shape: Shape) -> int:
        """See ``Connection``."""
        return self.channels

    def current(self, weights: Tensor, spikes: Tensor, input_shape: Shape) -> Tensor:
        """See ``Connection``."""
        n_basis = weights.shape[0]
        images = spikes.view(len(spikes), *input_shape)
        result = functional.conv2d(
            images, weights.flatten(0, 1), stride=self.stride, padding=self.padding
        )
        return result.reshape(len(spikes), n_basis, -1)


def spread(parameters: Tensor, shape: Shape) -> Tensor:
    """One value per neuron from one value per neuron or per channel, (n_neurons,)."""
    n_neurons = math.prod(shape)
    if len(parameters) == n_neurons:
        return parameters
    return torch.repeat_interleave(parameters, n_neurons // len(parameters))
