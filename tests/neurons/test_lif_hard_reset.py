"""LIF with hard reset: the spiking-autoencoder paper, eq 1 to 4."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from streamvdib.errors import ConfigurationError
from streamvdib.neurons.lif_hard_reset import LIFHardReset, LIFHardResetState
from streamvdib.neurons.neuron import NeuronParameters

CPU = torch.device("cpu")


def run(neuron: LIFHardReset, currents: list[float]) -> list[LIFHardResetState]:
    """The states of one neuron in one lane."""
    still = NeuronParameters(torch.zeros(1), torch.zeros(1))
    state = neuron.initial_state(1, 1, dtype=torch.float64, device=CPU)
    states = []
    for current in currents:
        given = torch.full((1, 1, 1), current, dtype=torch.float64)
        state = neuron.step(given, still, state, None)
        states.append(state)
    return states


def potentials(states: list[LIFHardResetState], threshold: float = 1.0) -> list[float]:
    return [state.membrane_potential.item() + threshold for state in states]


def test_a_spike_clears_the_potential_before_the_next_current() -> None:
    """By hand, alpha = 1/2: V = 0.6, then 0.3 + 0.9 = 1.2 spikes, then 0 + 0.2, then 0.1."""
    states = run(LIFHardReset(leak=0.5), [0.6, 0.9, 0.2, 0.0])
    assert potentials(states) == pytest.approx([0.6, 1.2, 0.2, 0.1])
    assert [state.spikes.item() for state in states] == [0.0, 1.0, 0.0, 0.0]


def test_a_potential_at_the_threshold_spikes() -> None:
    (state,) = run(LIFHardReset(leak=0.1, threshold=0.5), [0.5])
    assert state.spikes.item() == 1.0


def test_without_leak_the_potential_is_kept_until_it_spikes() -> None:
    states = run(LIFHardReset(leak=0.0), [0.25, 0.25, 0.25, 0.25, 0.25])
    assert potentials(states) == pytest.approx([0.25, 0.5, 0.75, 1.0, 0.25])


def test_a_bias_is_a_current_at_every_step() -> None:
    neuron = LIFHardReset(leak=0.5)
    biased = NeuronParameters(torch.tensor([0.4]), torch.zeros(1))
    state = neuron.initial_state(1, 1, dtype=torch.float32, device=CPU)
    for _ in range(2):
        state = neuron.step(torch.zeros(1, 1, 1), biased, state, None)
    assert state.membrane_potential.item() + 1.0 == pytest.approx(0.6)


def test_the_step_agrees_with_a_loop_over_lanes_and_neurons() -> None:
    """Oracle: plain Python floats."""
    generator = np.random.default_rng(3)
    currents = generator.normal(0.2, 0.6, (40, 3, 5))
    neuron = LIFHardReset(leak=0.1)
    still = NeuronParameters(torch.zeros(5), torch.zeros(5))
    state = neuron.initial_state(3, 5, dtype=torch.float64, device=CPU)
    kept = np.zeros((3, 5))
    for current in currents:
        state = neuron.step(torch.from_numpy(current)[:, None], still, state, None)
        for lane, index in np.ndindex(3, 5):
            value = 0.9 * kept[lane, index] + current[lane, index]
            assert state.membrane_potential[lane, index].item() == pytest.approx(value - 1.0)
            assert state.spikes[lane, index].item() == (value >= 1.0)
            kept[lane, index] = 0.0 if value >= 1.0 else value


@pytest.mark.parametrize("slope", [1.0, 4.0])
def test_the_spike_derivative_is_that_of_the_sigmoid(slope: float) -> None:
    """By hand at the threshold: k / 4. Oracle elsewhere: autograd."""
    neuron = LIFHardReset(derivative_slope=slope)
    assert neuron.spike_derivative(torch.zeros(1, 1)).item() == pytest.approx(slope / 4)
    above = torch.linspace(-2, 2, 9, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(torch.sigmoid(slope * above).sum(), above)
    torch.testing.assert_close(neuron.spike_derivative(above.detach()), expected)


def test_a_step_leaves_the_state_before_unchanged() -> None:
    neuron = LIFHardReset()
    before = LIFHardResetState(torch.ones(1, 2), torch.tensor([[0.2, 0.3]]))
    copies = (before.spikes.clone(), before.membrane_potential.clone())
    neuron.step(torch.ones(1, 1, 2), NeuronParameters(torch.zeros(2), torch.zeros(2)), before, None)
    torch.testing.assert_close((before.spikes, before.membrane_potential), copies)


@pytest.mark.parametrize(
    "constants", [{"leak": 1.0}, {"leak": -0.1}, {"threshold": 0.0}, {"derivative_slope": math.nan}]
)
def test_constants_that_cannot_be_meant_are_errors(constants: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(constants))):
        LIFHardReset(**constants)


def test_lanes_do_not_touch_each_other() -> None:
    """Law: the states of two lanes together are those of each alone."""
    neuron = LIFHardReset()
    still = NeuronParameters(torch.zeros(4), torch.zeros(4))
    currents = torch.rand(20, 2, 1, 4, generator=torch.Generator().manual_seed(1))

    def advance(chosen: Tensor) -> LIFHardResetState:
        state = neuron.initial_state(chosen.shape[1], 4, dtype=torch.float32, device=CPU)
        for current in chosen:
            state = neuron.step(current, still, state, None)
        return state

    together = advance(currents)
    for lane in range(2):
        alone = advance(currents[:, lane : lane + 1])
        assert torch.equal(alone.membrane_potential[0], together.membrane_potential[lane])
