"""Spike response model (SRM), deterministic or with a stochastic threshold.

    u_t = sum_k (alpha_k * I_k)_t + w_fb (beta * z)_{t-1} + bias                       (eq. 15)
    deterministic:  z_t = 1[u_t >= 0]                                                  (eq. 16)
    stochastic:     z_t ~ Bernoulli(sigma(u_t))                                        (eq. 17)

Skatchkovsky et al., 2021. Both responses are zero beyond their memory. This is the reference:
the responses are plain sums over the history.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from streamvdib.neurons.neuron import NeuronParameters
from streamvdib.responses import Response
from streamvdib.surrogates import sigmoid, surrogate_derivative


@dataclass(frozen=True)
class SRMState:
    """Memory: n_lanes * n_neurons * (n_basis * tau_e + feedback tau_e + 2) numbers."""

    currents: (
        Tensor  # I of the last tau_e steps, newest first, (tau_e, n_lanes, n_basis, n_neurons)
    )
    past_spikes: Tensor  # z, newest step first, (feedback tau_e, n_lanes, n_neurons)
    spikes: Tensor  # z, (n_lanes, n_neurons)
    membrane_potential: Tensor  # u, (n_lanes, n_neurons)


@dataclass(frozen=True)
class SRM:
    """Constants of a layer of SRM neurons.

    ``feedback`` has one kernel; its lag 0 acts on the spike of the step before.
    ``learns_feedback`` says whether the feedback weights change in learning (the refractory
    response of the paper's hidden neurons has the fixed weight -1).
    """

    response: Response  # alpha
    feedback: Response  # beta
    stochastic: bool = False
    surrogate: str = "boxcar"
    learns_feedback: bool = False

    def constants(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
        """alpha, (n_basis, tau_e), and beta, (feedback tau_e,)."""
        return (
            torch.tensor(self.response.kernels, dtype=dtype, device=device),
            torch.tensor(self.feedback.kernels[0], dtype=dtype, device=device),
        )

    def initial_state(
        self, n_lanes: int, n_neurons: int, *, dtype: torch.dtype, device: torch.device
    ) -> SRMState:
        """Nothing has ever come: all zeros."""

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        return SRMState(
            currents=zeros(self.response.tau_e, n_lanes, self.response.n_basis, n_neurons),
            past_spikes=zeros(self.feedback.tau_e, n_lanes, n_neurons),
            spikes=zeros(n_lanes, n_neurons),
            membrane_potential=zeros(n_lanes, n_neurons),
        )

    def step(
        self, current: Tensor, parameters: NeuronParameters, state: SRMState, draws: Tensor | None
    ) -> SRMState:
        """One step (eq. 15 to 17); see ``Neuron.step`` for shapes."""
        currents = torch.cat((current[None], state.currents[:-1]))
        kernels, trace = parameters.constants or self.constants(current.dtype, current.device)
        potential = (
            torch.einsum("kd,dlkn->ln", kernels, currents)
            + parameters.feedback * torch.einsum("d,dln->ln", trace, state.past_spikes)
            + parameters.bias
        )
        spikes = self.fire(potential, draws)
        past_spikes = torch.cat((spikes[None], state.past_spikes[:-1]))
        return SRMState(currents, past_spikes, spikes, potential)

    def fire(self, potential: Tensor, draws: Tensor | None) -> Tensor:
        """Spikes from potentials, 0 or 1 in the potential's type, same shape (eq. 16, 17)."""
        if self.stochastic:
            assert draws is not None
            return (draws < torch.sigmoid(potential)).to(potential.dtype)
        return (potential >= 0).to(potential.dtype)

    def spike_derivative(self, membrane_potential: Tensor) -> Tensor:
        """sigma'(u) of the stochastic threshold, else the surrogate (eq. 22)."""
        if self.stochastic:
            return sigmoid(membrane_potential)
        return surrogate_derivative(self.surrogate, membrane_potential)
