"""What the encoder asks of a neuron model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from streamvdib.responses import Response


@dataclass(frozen=True)
class NeuronParameters:
    """The learned values of a layer's neurons, already one per neuron."""

    bias: Tensor  # (n_neurons,)
    feedback: Tensor  # weight of the neuron's own feedback response, (n_neurons,)
    constants: tuple[Tensor, ...] = ()  # what ``Neuron.constants`` gave; empty: made anew


class NeuronState(Protocol):
    """A frozen dataclass of tensors whose second-last or last dimensions are lanes and neurons."""

    @property
    def spikes(self) -> Tensor:
        """Spikes z or y of the last step, 0 or 1, (n_lanes, n_neurons)."""

    @property
    def membrane_potential(self) -> Tensor:
        """Potential u of the last step, relative to the threshold, (n_lanes, n_neurons)."""


class Neuron(Protocol):
    """Constants of a neuron model; a step is a function of current, parameters and state."""

    @property
    def response(self) -> Response:
        """The spike response that filters the postsynaptic current."""

    @property
    def stochastic(self) -> bool:
        """Whether a step needs uniform draws."""

    def constants(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
        """What a step needs as tensors beside parameters and state, the same at every step."""

    def initial_state(
        self, n_lanes: int, n_neurons: int, *, dtype: torch.dtype, device: torch.device
    ) -> Any:
        """The state before the first step: nothing has ever come."""

    def step(
        self, current: Tensor, parameters: NeuronParameters, state: Any, draws: Tensor | None
    ) -> Any:
        """The state after one more step; ``state`` is unchanged.

        Args:
            current: I_t, (n_lanes, n_basis, n_neurons).
            parameters: bias and feedback weights.
            state: the state after the step before.
            draws: uniform in [0, 1), (n_lanes, n_neurons), where the model is stochastic.
        """

    def spike_derivative(self, membrane_potential: Tensor) -> Tensor:
        """What stands for dz/du in learning; same shape."""
