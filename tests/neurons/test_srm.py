"""The spike response model: by hand, by law, against numpy's convolution."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from streamvdib.neurons.neuron import NeuronParameters
from streamvdib.neurons.srm import SRM, SRMState
from streamvdib.responses import Response, exponential, finite, raised_cosines

CPU = torch.device("cpu")


def parameters(bias: float, feedback: float, n: int = 1) -> NeuronParameters:
    return NeuronParameters(
        torch.full((n,), bias, dtype=torch.float64), torch.full((n,), feedback, dtype=torch.float64)
    )


def run(neuron: SRM, currents: Tensor, given_parameters: NeuronParameters) -> list[SRMState]:
    """States of one lane; currents (n_steps, n_basis, n_neurons)."""
    state = neuron.initial_state(1, currents.shape[-1], dtype=torch.float64, device=CPU)
    states = []
    for current in currents:
        state = neuron.step(current[None], given_parameters, state, None)
        states.append(state)
    return states


def test_a_spike_lowers_the_next_potential_by_the_refractory_response() -> None:
    """By hand: u = 0.7 - 0.5 = 0.2 spikes; then 0.35 - 0.5 - 1 = -1.15; then 0.175 - 0.5 - 0.5."""
    neuron = SRM(exponential(0.5, 8), exponential(0.5, 8))
    currents = torch.tensor([0.7, 0.0, 0.0], dtype=torch.float64)[:, None, None]
    states = run(neuron, currents, parameters(bias=-0.5, feedback=-1.0))
    potentials = [state.membrane_potential.item() for state in states]
    assert potentials == pytest.approx([0.2, -1.15, -0.825])
    assert [state.spikes.item() for state in states] == [1, 0, 0]


def test_a_neuron_at_its_threshold_spikes() -> None:
    neuron = SRM(exponential(0.5, 2), exponential(0.5, 2))
    states = run(neuron, torch.zeros(1, 1, 1, dtype=torch.float64), parameters(0.0, 0.0))
    assert states[0].spikes.item() == 1


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(1, 3), st.integers(0, 2**31))
def test_without_feedback_the_potential_is_the_convolution_of_current_and_kernel(
    tau_e: int, n_basis: int, seed: int
) -> None:
    """Oracle: numpy.convolve, which shares nothing with the ring."""
    generator = np.random.default_rng(seed)
    kernels = generator.normal(size=(n_basis, tau_e))
    currents = generator.normal(size=(25, n_basis, 2))
    neuron = SRM(finite(kernels.tolist()), exponential(0.5, 2))
    states = run(neuron, torch.from_numpy(currents), parameters(0.0, 0.0, 2))
    for n in range(2):
        expected = sum(np.convolve(currents[:, k, n], kernels[k])[:25] for k in range(n_basis))
        actual = [state.membrane_potential[0, n].item() for state in states]
        np.testing.assert_allclose(actual, expected, atol=1e-12)


@pytest.mark.parametrize("response", [exponential(0.9, 7), raised_cosines(3, 7)])
def test_tau_e_steps_after_the_last_input_nothing_of_it_is_left(response: Response) -> None:
    neuron = SRM(response, exponential(0.5, 2))
    currents = torch.zeros(20, response.n_basis, 4, dtype=torch.float64)
    currents[3] = torch.randn(response.n_basis, 4, dtype=torch.float64)
    states = run(neuron, currents, parameters(-1.0, 0.0, 4))
    assert (states[3 + 6].membrane_potential != -1.0).all()
    assert (states[3 + 7].membrane_potential == -1.0).all()


def test_the_stochastic_threshold_spikes_where_the_draw_lies_below_the_sigmoid() -> None:
    neuron = SRM(exponential(0.5, 2), exponential(0.5, 2), stochastic=True)
    potential = torch.tensor([[0.0, 0.0, math.log(3)]])
    draws = torch.tensor([[0.49, 0.5, 0.74]])
    assert neuron.fire(potential, draws).tolist() == [[1, 0, 1]]


def test_the_stochastic_readout_learns_through_the_derivative_of_the_sigmoid() -> None:
    neuron = SRM(exponential(0.5, 2), exponential(0.5, 2), stochastic=True)
    assert neuron.spike_derivative(torch.zeros(1)).item() == pytest.approx(0.25)


def test_a_step_leaves_the_state_before_it_unchanged() -> None:
    neuron = SRM(exponential(0.5, 3), exponential(0.5, 3))
    before = neuron.initial_state(2, 3, dtype=torch.float64, device=CPU)
    copies = [tensor.clone() for tensor in vars(before).values()]
    neuron.step(torch.ones(2, 1, 3, dtype=torch.float64), parameters(0.0, -1.0, 3), before, None)
    assert all(torch.equal(a, b) for a, b in zip(vars(before).values(), copies, strict=True))
