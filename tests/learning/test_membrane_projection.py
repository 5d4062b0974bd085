"""Hidden gradients without the direction of the mean input: by hand, a law, autograd."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from streamvdib.connections import Dense
from streamvdib.encoder import Encoder, Layer, LayerWeights, Weights
from streamvdib.errors import CheckpointError
from streamvdib.learning.membrane_potential import (
    MembranePotentialRule,
    MembranePotentialSettings,
)
from streamvdib.learning.membrane_projection import without_direction
from streamvdib.neurons.lif_hard_reset import LIFHardReset

SIZES = (6, 5, 4, 3)  # two hidden layers
N_LANES, N_STEPS, LEAK = 3, 20, 0.1
KEEPS = MembranePotentialSettings(learning_rate=1e-2, keeps_mean_current=True)


def network(sizes: tuple[int, ...] = SIZES, leak: float = LEAK) -> Encoder:
    layers = tuple(Layer(Dense(n), LIFHardReset(leak=leak)) for n in sizes[1:])
    return Encoder((sizes[0],), layers)


def weights() -> Weights:
    drawn = network().initial_weights(torch.Generator().manual_seed(0))
    return tuple(
        LayerWeights(one.synapses + 0.2, torch.zeros_like(one.feedback), torch.zeros_like(one.bias))
        for one in drawn
    )


def spike_trains() -> tuple[Tensor, Tensor]:
    """Inputs and target spikes, each (n_steps, n_lanes, n)."""
    generator = torch.Generator().manual_seed(1)
    inputs = (torch.rand(N_STEPS, N_LANES, SIZES[0], generator=generator) < 0.5).float()
    return inputs, (torch.rand(N_STEPS, N_LANES, SIZES[-1], generator=generator) < 0.4).float()


def gradients_of(
    rule: MembranePotentialRule, inputs: Tensor, targets: Tensor
) -> list[list[Tensor]]:
    """Of every step, with the weights held."""
    state, found = rule.encoder.initial_state(N_LANES), []
    for spikes, target in zip(inputs, targets, strict=True):
        state = rule.encoder.step(rule.weights, spikes, state, torch.zeros(N_LANES).long())
        rule.watch_step(spikes, state.layers)
        found.append(rule.gradients(state.layers, target))
        rule.clear(state.layers)
    return found


def a_rule(settings: MembranePotentialSettings = KEEPS) -> MembranePotentialRule:
    return MembranePotentialRule(
        network(), weights(), n_lanes=N_LANES, n_steps=N_STEPS, settings=settings
    )


def autograd_gradients(inputs: Tensor, targets: Tensor) -> list[list[Tensor]]:
    """Oracle: the unrolled graph, each row then least-squares-fitted by the mean input.

    What is left of a row after the fit is the row without the mean's direction. Resets and the
    spikes of earlier steps are constants.
    """
    matrices = [one.synapses[0].t().double().clone().requires_grad_() for one in weights()]
    potentials = [torch.zeros(N_LANES, len(matrix)).double() for matrix in matrices]
    seen: list[list[Tensor]] = [[], []]  # what both hidden layers have received
    gradients = []
    for given, target in zip(inputs.double(), targets.double(), strict=True):
        smooth, hard = given, given
        for index, matrix in enumerate(matrices):
            if index < len(seen):
                seen[index].append(hard)
            past = (1 - LEAK) * potentials[index]
            along = past + smooth @ matrix.t()  # the path that the error of this step takes
            potentials[index] = past + hard @ matrix.t()
            hard = (potentials[index] >= 1.0).double()
            bend = torch.sigmoid(along - 1.0)
            smooth = hard + bend - bend.detach()
            if index == len(matrices) - 1:
                error = (hard != target) * (target - along)
            potentials[index] = potentials[index] * (1 - hard)
        loss = error.square().sum() / 2 / N_LANES
        found = list(torch.autograd.grad(loss, matrices, retain_graph=True))
        for index, inputs_of_layer in enumerate(seen):
            mean = np.concatenate([one.numpy() for one in inputs_of_layer]).mean(0)
            rows = found[index].numpy()
            fit = np.linalg.lstsq(mean[:, None], rows.T, rcond=None)[0]
            found[index] = torch.from_numpy(rows - fit.T * mean)
        gradients.append(found)
    return gradients


def test_gradients_are_those_of_autograd_less_their_fit_by_the_mean_input() -> None:
    inputs, targets = spike_trains()
    ours, theirs = gradients_of(a_rule(), inputs, targets), autograd_gradients(inputs, targets)
    assert sum(float(one[0].abs().sum()) for one in theirs) > 0.01
    for found, expected in zip(ours, theirs, strict=True):
        for gradient, reference in zip(found, expected, strict=True):
            torch.testing.assert_close(gradient.double(), reference, rtol=1e-3, atol=1e-6)


def test_by_hand_the_part_along_the_mean_input_is_taken_out() -> None:
    """Two inputs, alpha = 1/2; input (1, 0), then (1, 1), so m = (1, 1/2) at the second step.

    One hidden neuron with weights 0.4 stays silent: V = 0.4, then 0.2 + 0.8 = 1.0 would spike, so
    0.3 is taken: V = 0.3, 0.75. Traces (1, 0), (1.5, 1). Its readout has weight 1, is silent, and
    should spike: E = 1. Gradient g = -s (1.5, 1) with s = sigmoid'(0.75 - 1); along m it has
    (1.5 + 0.5) / 1.25 = 1.6 times m = (1.6, 0.8), so -s (-0.1, 0.2) is left.
    """
    first = LayerWeights(torch.full((1, 2, 1), 0.3), torch.zeros(1), torch.zeros(1))
    second = LayerWeights(torch.ones(1, 1, 1), torch.zeros(1), torch.zeros(1))
    rule = MembranePotentialRule(
        network((2, 1, 1), leak=0.5), (first, second), n_lanes=1, n_steps=2, settings=KEEPS
    )
    state = rule.encoder.initial_state(1)
    for spikes in (torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]])):
        state = rule.encoder.step(rule.weights, spikes, state, torch.zeros(1).long())
        rule.watch_step(spikes, state.layers)
    hidden, readout = rule.gradients(state.layers, torch.ones(1, 1))
    slope = np.exp(0.25) / (1 + np.exp(0.25)) ** 2
    np.testing.assert_allclose(hidden, [[0.1 * slope, -0.2 * slope]], atol=1e-6)
    np.testing.assert_allclose(readout, [[0.0]], atol=1e-6)


def test_what_is_left_changes_no_current_on_the_direction() -> None:
    """Law: (g - projection) m = 0, and doing it twice changes nothing; zero takes out nothing."""
    generator = torch.Generator().manual_seed(3)
    gradient = torch.randn(5, 7, generator=generator)
    direction = torch.rand(7, generator=generator)
    left = without_direction(gradient, direction)
    torch.testing.assert_close(left @ direction, torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(without_direction(left, direction), left, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(without_direction(left, 3 * direction), left, atol=1e-6, rtol=1e-5)
    assert torch.equal(without_direction(gradient, torch.zeros(7)), gradient)


@pytest.mark.parametrize("settings", [KEEPS, dataclasses.replace(KEEPS, hidden_rate=0.0)])
def test_the_readout_s_gradient_is_left_as_it_is(settings: MembranePotentialSettings) -> None:
    inputs, targets = spike_trains()
    plain = a_rule(dataclasses.replace(settings, keeps_mean_current=False))
    for ours, theirs in zip(
        gradients_of(a_rule(settings), inputs, targets),
        gradients_of(plain, inputs, targets),
        strict=True,
    ):
        assert torch.equal(ours[-1], theirs[-1])


def test_a_rule_without_the_mean_s_tensors_is_not_gone_on_with() -> None:
    saved = a_rule(dataclasses.replace(KEEPS, keeps_mean_current=False)).tensors()
    with pytest.raises(CheckpointError, match=r"mean\.0\.direction"):
        a_rule().load_tensors(saved)
