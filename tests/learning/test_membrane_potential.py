"""Learning on the membrane potential: gradients against autograd and finite differences."""

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from streamvdib.connections import Convolution, Dense
from streamvdib.encoder import Encoder, EncoderState, Layer, LayerWeights, Weights
from streamvdib.errors import ConfigurationError, LearningError, TargetError
from streamvdib.learning.membrane_adam import StepAdam
from streamvdib.learning.membrane_potential import (
    MembranePotentialRule,
    MembranePotentialSettings,
    potential_error,
    without_bias,
)
from streamvdib.neurons.lif_hard_reset import LIFHardReset, LIFHardResetState
from streamvdib.neurons.srm import SRM
from streamvdib.responses import exponential

LEAK = 0.1
N_IN, N_HIDDEN, N_OUT, N_LANES, N_STEPS = 6, 5, 4, 3, 25
Array = npt.NDArray[np.float64]


def network(*, leak: float = LEAK) -> Encoder:
    neuron = LIFHardReset(leak=leak)
    return Encoder((N_IN,), (Layer(Dense(N_HIDDEN), neuron), Layer(Dense(N_OUT), neuron)))


def weights(seed: int = 0, scale: float = 1.0) -> Weights:
    generator = torch.Generator().manual_seed(seed)
    drawn = without_bias(network().initial_weights(generator))
    return tuple(
        dataclasses.replace(layer, synapses=scale * (layer.synapses + 0.15)) for layer in drawn
    )


def spike_trains(seed: int = 1, n_lanes: int = N_LANES) -> tuple[Tensor, Tensor]:
    """Inputs (n_steps, n_lanes, n_inputs) and target spikes (n_steps, n_lanes, n_outputs)."""
    generator = torch.Generator().manual_seed(seed)
    inputs = (torch.rand(N_STEPS, n_lanes, N_IN, generator=generator) < 0.5).float()
    return inputs, (torch.rand(N_STEPS, n_lanes, N_OUT, generator=generator) < 0.4).float()


def forward(encoder: Encoder, given: Weights, inputs: Tensor) -> list[EncoderState]:
    state = encoder.initial_state(inputs.shape[1])
    states = []
    for spikes in inputs:
        state = encoder.step(given, spikes, state, torch.zeros(inputs.shape[1], dtype=torch.int64))
        states.append(state)
    return states


def rule_gradients(
    inputs: Tensor, targets: Tensor, given: Weights, settings: MembranePotentialSettings
) -> list[list[Tensor]]:
    """The rule's gradients of every step with the weights held."""
    rule = MembranePotentialRule(
        network(), given, n_lanes=inputs.shape[1], n_steps=len(inputs), settings=settings
    )
    gradients = []
    for spikes, target, state in zip(
        inputs, targets, forward(network(), given, inputs), strict=True
    ):
        rule.watch_step(spikes, state.layers)
        gradients.append(rule.gradients(state.layers, target))
        rule.clear(state.layers)
    return gradients


def autograd_gradients(
    inputs: Tensor, targets: Tensor, given: Weights, masked: bool
) -> list[tuple[Tensor, ...]]:
    """Oracle: the unrolled graph. Resets are constants, and so are earlier hidden spikes."""
    first, second = (layer.synapses[0].t().double().requires_grad_() for layer in given)
    n_lanes = inputs.shape[1]
    one, two = torch.zeros(n_lanes, N_HIDDEN).double(), torch.zeros(n_lanes, N_OUT).double()
    gradients = []
    for spikes, target in zip(inputs.double(), targets.double(), strict=True):
        one = (1 - LEAK) * one + spikes @ first.t()
        smooth = torch.sigmoid(one - 1.0)
        hard = (one >= 1.0).double()
        past = (1 - LEAK) * two
        with_path = past + (hard + smooth - smooth.detach()) @ second.t()
        two = past + hard @ second.t()
        fired = (two >= 1.0).double()
        mask = (fired != target).double() if masked else torch.ones_like(fired)
        loss = (mask * (target - with_path)).square().sum() / 2 / n_lanes
        gradients.append(torch.autograd.grad(loss, (first, second), retain_graph=True))
        one = one * (1.0 - hard)
        two = two * (1.0 - fired)
    return gradients


@pytest.mark.parametrize("masked", [True, False])
def test_gradients_are_those_of_autograd_on_the_unrolled_graph(masked: bool) -> None:
    inputs, targets = spike_trains()
    settings = MembranePotentialSettings(masked=masked)
    found = rule_gradients(inputs, targets, weights(), settings)
    expected = autograd_gradients(inputs, targets, weights(), masked)
    hidden = torch.stack([s.layers[0].spikes for s in forward(network(), weights(), inputs)])
    assert 0.1 < hidden.mean() < 0.9, "a case in which neurons spike and reset"
    for ours, theirs in zip(found, expected, strict=True):
        for gradient, reference in zip(ours, theirs, strict=True):
            torch.testing.assert_close(gradient.double(), reference, rtol=1e-4, atol=1e-5)


def smoothed_loss(
    first: Array, second: Array, step: int, held: list[EncoderState], case: tuple[Array, Array]
) -> float:
    """|E|^2 / 2 at ``step`` of the smoothed network, from its definition, mean over lanes.

    Every reset, and every hidden spike before ``step``, stays what it was; at ``step`` a hidden
    neuron's output moves along the sigmoid from its spike.
    """
    inputs, targets = case
    spikes = [[layer.spikes.double().numpy() for layer in state.layers] for state in held]
    one = np.zeros((inputs.shape[1], first.shape[0]))
    two = np.zeros((inputs.shape[1], second.shape[0]))
    for now in range(step + 1):
        reset = [1.0 - s for s in spikes[now - 1]] if now else [1.0, 1.0]
        one = (1 - LEAK) * one * reset[0] + inputs[now] @ first.T
        output = spikes[now][0]
        if now == step:
            there = held[step].layers[0].membrane_potential.double().numpy()
            output = output + 1 / (1 + np.exp(1.0 - one)) - 1 / (1 + np.exp(-there))
        two = (1 - LEAK) * two * reset[1] + output @ second.T
    mask = spikes[step][1] != targets[step]
    return float(np.square(mask * (targets[step] - two)).sum() / 2 / inputs.shape[1])


@pytest.mark.parametrize("step", [0, 7, N_STEPS - 1])
def test_gradients_are_finite_differences_of_the_smoothed_network(step: int) -> None:
    inputs, targets = spike_trains(seed=4)
    given = weights(seed=5)
    found = rule_gradients(inputs, targets, given, MembranePotentialSettings())[step]
    held = forward(network(), given, inputs)
    matrices = [layer.synapses[0].t().double().numpy().copy() for layer in given]
    case = (inputs.double().numpy(), targets.double().numpy())
    for index, matrix in enumerate(matrices):
        for place in np.ndindex(matrix.shape):
            losses = []
            for sign in (1.0, -1.0):
                moved = [m.copy() for m in matrices]
                moved[index][place] += sign * 1e-5
                losses.append(smoothed_loss(*moved, step, held, case))
            slope = (losses[0] - losses[1]) / 2e-5
            assert found[index][place].item() == pytest.approx(slope, rel=2e-3, abs=2e-5)


def test_a_neuron_that_spikes_and_resets_learns_from_what_came_after() -> None:
    """By hand, alpha = 1/2, one weight of 0.8 per layer, input at every step, target always 1.

    Hidden V: 0.8, 1.2 (spikes), 0.8. Readout V: 0, 0.8, 0.4; it never spikes, so E = 1 - V.
    Hidden trace: 1, 1.5, cleared, 1. Readout trace: 0, 1, 0.5.
    """
    neuron = LIFHardReset(leak=0.5)
    encoder = Encoder((1,), (Layer(Dense(1), neuron), Layer(Dense(1), neuron)))
    one = LayerWeights(torch.full((1, 1, 1), 0.8), torch.zeros(1), torch.zeros(1))
    rule = MembranePotentialRule(encoder, (one, one), n_lanes=1, n_steps=3)
    found = []
    for state in forward(encoder, (one, one), torch.ones(3, 1, 1)):
        rule.watch_step(torch.ones(1, 1), state.layers)
        found.append([g.item() for g in rule.gradients(state.layers, torch.ones(1, 1))])
        rule.clear(state.layers)

    def slope(potential: float) -> float:
        return float(torch.sigmoid(torch.tensor(potential - 1.0)).pow(2)) * float(
            np.exp(1.0 - potential)
        )

    errors, traces = [1.0, 0.2, 0.6], [1.0, 1.5, 1.0]
    expected = [
        [-error * 0.8 * slope(potential) * trace, -error * readout]
        for error, potential, trace, readout in zip(
            errors, [0.8, 1.2, 0.8], traces, [0.0, 1.0, 0.5], strict=True
        )
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_only_neurons_that_spiked_wrongly_have_an_error() -> None:
    """By hand, V = 1.3, 0.4, 1.3, 0.4 and targets 1, 0, 0, 1: E = 0, 0, -1.3, 0.6."""
    potential = torch.tensor([[1.3, 0.4, 1.3, 0.4]])
    state = LIFHardResetState((potential >= 1.0).float(), potential - 1.0)
    target = torch.tensor([[1.0, 0.0, 0.0, 1.0]])
    torch.testing.assert_close(
        potential_error(state, target), torch.tensor([[0.0, 0.0, -1.3, 0.6]])
    )
    torch.testing.assert_close(
        potential_error(state, target, masked=False), torch.tensor([[-0.3, -0.4, -1.3, 0.6]])
    )


def test_the_gradient_is_the_mean_over_lanes() -> None:
    inputs, targets = spike_trains()
    settings = MembranePotentialSettings()
    together = rule_gradients(inputs, targets, weights(), settings)[-1]
    alone = [
        rule_gradients(inputs[:, k : k + 1], targets[:, k : k + 1], weights(), settings)[-1]
        for k in range(N_LANES)
    ]
    for index, gradient in enumerate(together):
        mean = torch.stack([one[index] for one in alone]).mean(0)
        torch.testing.assert_close(gradient, mean, rtol=1e-4, atol=1e-6)


def test_learning_brings_the_readout_to_its_target() -> None:
    """Law: the rule lowers the number of wrong spikes on one spike train shown again and again."""
    inputs, targets = spike_trains(seed=8, n_lanes=1)
    targets = targets[:1].expand(N_STEPS, -1, -1)  # a constant pattern can be learned
    rule = MembranePotentialRule(
        network(),
        weights(),
        n_lanes=1,
        n_steps=N_STEPS,
        settings=MembranePotentialSettings(learning_rate=2e-2),
    )
    wrong = []
    for _ in range(40):
        rule.begin()
        state = rule.encoder.initial_state(1)
        count = 0
        for spikes, target in zip(inputs, targets, strict=True):
            state = rule.encoder.step(rule.weights, spikes, state, torch.zeros(1).long())
            rule.learn_step(spikes, state.layers, target)
            count += int((state.layers[-1].spikes != target).sum())
        wrong.append(count)
    assert np.mean(wrong[-5:]) < 0.5 * wrong[0]


@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
def test_adam_is_torch_s_adam_with_l2_decay(weight_decay: float) -> None:
    generator = torch.Generator().manual_seed(2)
    ours = torch.randn(4, 3, generator=generator)
    theirs = ours.clone().requires_grad_()
    reference = torch.optim.Adam([theirs], lr=0.01, weight_decay=weight_decay)
    adam = StepAdam([ours], learning_rate=0.01, weight_decay=weight_decay)
    for _ in range(10):
        gradient = torch.randn(4, 3, generator=generator)
        theirs.grad = gradient.clone()
        reference.step()
        adam.step([gradient])
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-4, atol=1e-6)


def test_the_compiled_adam_is_the_written_one() -> None:
    generator = torch.Generator().manual_seed(6)
    compiled, written = (torch.ones(5, 4) for _ in range(2))
    first = StepAdam([compiled], learning_rate=0.01, weight_decay=1e-3)
    second = StepAdam([written], learning_rate=0.01, weight_decay=1e-3)
    second._compiled = second._reference  # type: ignore[method-assign]
    for _ in range(5):
        gradient = torch.randn(5, 4, generator=generator)
        first.step([gradient])
        second.step([gradient])
    torch.testing.assert_close(compiled, written)


def test_moments_that_are_forgotten_make_the_first_step_as_long_as_the_rate() -> None:
    weight = torch.zeros(1, 1)
    adam = StepAdam([weight], learning_rate=0.1)
    adam.step([torch.full((1, 1), 3.0)])
    adam.forget()
    adam.step([torch.full((1, 1), -0.001)])
    assert weight.item() == pytest.approx(0.0, abs=1e-5)


def test_a_gradient_that_is_not_finite_changes_no_weight() -> None:
    good, bad = torch.ones(2, 2), torch.ones(2, 2)
    adam = StepAdam([good, bad], learning_rate=0.1)
    with pytest.raises(LearningError, match="layer 1"):
        adam.step([torch.ones(2, 2), torch.full((2, 2), torch.nan)])
    assert torch.equal(good, torch.ones(2, 2))


def other_neuron() -> Encoder:
    neuron = SRM(exponential(0.5, 4), exponential(0.5, 4))
    return Encoder((N_IN,), (Layer(Dense(N_OUT), neuron),))


def convolution() -> Encoder:
    return Encoder((1, 4, 4), (Layer(Convolution(2), LIFHardReset()),))


@pytest.mark.parametrize("make", [other_neuron, convolution])
def test_what_the_rule_cannot_learn_is_an_error(make: Callable[[], Encoder]) -> None:
    encoder = make()
    given = encoder.initial_weights(torch.Generator().manual_seed(0))
    with pytest.raises(ConfigurationError, match="learning on the membrane potential requires"):
        MembranePotentialRule(encoder, given, n_lanes=1, n_steps=5)


def test_target_spikes_of_a_wrong_shape_are_an_error() -> None:
    rule = MembranePotentialRule(network(), weights(), n_lanes=1, n_steps=3)
    (state,) = forward(network(), weights(), torch.ones(1, 1, N_IN))
    rule.watch_step(torch.ones(1, N_IN), state.layers)
    with pytest.raises(TargetError, match=r"\(1, 4\); got \(1, 3\)"):
        rule.gradients(state.layers, torch.ones(1, 3))
