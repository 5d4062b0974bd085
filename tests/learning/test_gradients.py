"""Gradient estimates against independent oracles: autograd, and exact enumeration."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from streamvdib.connections import spread
from streamvdib.learning.baseline import Baseline
from streamvdib.learning.control_variate import linear_delta
from streamvdib.learning.decoder_signal import decoder_signal, windows_at
from streamvdib.learning.gradients import estimate
from streamvdib.learning.learner_state import LearnerState, Settings
from streamvdib.learning.priors import AutoregressivePrior, BernoulliPrior, Prior
from streamvdib.learning.rule import Rule
from streamvdib.learning.sequence import LayerSequence, run_sequence
from streamvdib.model import Model
from streamvdib.randomness import draws, lane_keys
from tests.learning.networks import dense, random_spikes, tiny_model


class Hard(torch.autograd.Function):
    """A step function with sigma' as its derivative."""

    @staticmethod
    def forward(ctx, potential, uniform):
        probability = torch.sigmoid(potential)
        ctx.save_for_backward(probability)
        threshold = 0.5 if uniform is None else uniform
        fired = probability >= threshold if uniform is None else threshold < probability
        return fired.to(potential.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (probability,) = ctx.saved_tensors
        return gradient * probability * (1 - probability), None


def oracle_loss(
    model: Model, inputs: Tensor, targets: Tensor, steps: list[int], rule: Rule, keys: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """The VDIB loss as a graph of plain sums; feedback traces carry no gradient."""
    leaves = {
        f"encoder.{i}.{name}": t.detach().requires_grad_()
        for i, layer in enumerate(model.weights)
        for name, t in layer.tensors()
    }
    prior = {
        name: t.double().requires_grad_()
        for name, t in rule.prior.initial_parameters(model.encoder.n_outputs).items()
    }
    sources = inputs
    information = torch.zeros((), dtype=inputs.dtype)
    for index, layer in enumerate(model.encoder.layers):
        neuron, shape = layer.neuron, model.encoder.layer_shapes[index]
        synapses = leaves[f"encoder.{index}.synapses"]
        bias = spread(leaves[f"encoder.{index}.bias"], shape)
        feedback = spread(leaves[f"encoder.{index}.feedback"], shape)
        uniform = draws(keys, 0, len(inputs), len(bias)) if neuron.stochastic else None
        spikes: list[Tensor] = []
        for t in range(len(inputs)):
            u = bias
            for lag in range(min(t + 1, neuron.response.tau_e)):
                current = layer.connection.current(
                    synapses, sources[t - lag], model.encoder.source_shapes[index]
                )
                for k in range(neuron.response.n_basis):
                    u = u + neuron.response.kernels[k][lag] * current[:, k]
            for lag in range(min(t, neuron.feedback.tau_e)):
                past = spikes[t - 1 - lag].detach()
                u = u + feedback * neuron.feedback.kernels[0][lag] * past
            spikes.append(Hard.apply(u, None if uniform is None else uniform[t]))
            if neuron.stochastic:
                p = torch.sigmoid(u)
                logits = rule.prior.logits(prior, torch.stack(spikes))
                r = torch.sigmoid(logits if logits.ndim < 3 else logits[t])
                kl = p * (p / r).log() + (1 - p) * ((1 - p) / (1 - r)).log()
                information = information + kl.sum() / inputs.shape[1]
        sources = torch.stack(spikes)
    windows = windows_at(sources, steps, model.tau_d)
    losses = model.likelihood.log_loss(model.decoder(windows), targets.flatten(0, 1))
    return losses.mean() + rule.beta * information, leaves | prior


def estimated(model: Model, inputs: Tensor, targets: Tensor, steps: list[int], rule: Rule, keys):
    sequences = run_sequence(model.encoder, model.weights, inputs, keys)
    signal = decoder_signal(
        model.decoder, model.likelihood, sequences[-1].spikes, targets, steps, model.tau_d
    )
    learned = {
        n: t.double() for n, t in rule.prior.initial_parameters(model.encoder.n_outputs).items()
    }
    found = estimate(model.encoder, model.weights, sequences, signal, rule, learned, Baseline(rule))
    return found, signal


def random_images(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def check_against_autograd(model: Model, n_inputs: int, prior: Prior, seed: int) -> None:
    rule = Rule(estimator="pathwise", beta=0.3, prior=prior)
    inputs = random_spikes(6, 2, n_inputs, seed=seed)
    targets, steps = random_images(2, 2, 2, 2), [3, 5]
    keys = lane_keys(seed, 2)
    loss, leaves = oracle_loss(model, inputs, targets, steps, rule, keys)
    parameters = dict(model.decoder.named_parameters())
    oracle = torch.autograd.grad(loss, [*leaves.values(), *parameters.values()])
    found, signal = estimated(model, inputs, targets, steps, rule, keys)
    ours = found.gradients | signal.gradients
    for name, expected in zip([*leaves, *parameters], oracle, strict=True):
        if name.endswith("feedback") and not is_learned_feedback(model, name):
            assert not ours[name].any()
            continue
        scale = 1 / rule.beta if name.startswith("prior.") else 1.0  # the prior's own rate
        torch.testing.assert_close(ours[name], expected * scale, msg=name)


def is_learned_feedback(model: Model, name: str) -> bool:
    return bool(model.encoder.layers[int(name.split(".")[1])].neuron.learns_feedback)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 1000),
    hidden=st.lists(st.integers(1, 4), max_size=2),
    tau_e=st.integers(2, 7),
    tau_d=st.integers(1, 8),
)
def test_pathwise_gradients_are_those_of_autograd_with_feedback_traces_held(
    seed: int, hidden: list[int], tau_e: int, tau_d: int
) -> None:
    layers = [dense(n, tau_e=tau_e) for n in hidden]
    layers.append(dense(3, stochastic=True, tau_e=tau_e))
    model = tiny_model(layers=layers, tau_d=tau_d, seed=seed)
    check_against_autograd(model, 4, BernoulliPrior(0.3), seed)


def test_pathwise_gradients_reach_a_prior_with_memory() -> None:
    check_against_autograd(tiny_model((3,)), 4, AutoregressivePrior(0.3, memory=2), 0)


def test_pathwise_gradients_pass_convolutions() -> None:
    convolution = {
        "connection": {"kind": "convolution", "channels": 2, "kernel": 3, "stride": 2},
        "neuron": dense(1)["neuron"],
    }
    readout = dense(3, stochastic=True)
    model = tiny_model(layers=[convolution, convolution, readout], input_shape=[1, 6, 6])
    check_against_autograd(model, 36, BernoulliPrior(0.3), 0)


def given_spikes(model: Model, inputs: Tensor, spikes: Tensor) -> LayerSequence:
    """The readout's record if it had spiked so: potentials by plain sums."""
    (layer,), (weights,) = model.encoder.layers, model.weights
    potentials = []
    for t in range(len(inputs)):
        u = weights.bias.expand(inputs.shape[1], -1)
        for lag in range(min(t + 1, layer.neuron.response.tau_e)):
            for k in range(layer.neuron.response.n_basis):
                u = u + layer.neuron.response.kernels[k][lag] * (
                    inputs[t - lag] @ weights.synapses[k]
                )
        for lag in range(min(t, layer.neuron.feedback.tau_e)):
            u = u + weights.feedback * layer.neuron.feedback.kernels[0][lag] * spikes[t - 1 - lag]
        potentials.append(u)
    return LayerSequence(inputs, spikes, torch.stack(potentials))


def log_probability(record: LayerSequence) -> Tensor:
    u, y = record.potentials, record.spikes
    return (y * u - torch.nn.functional.softplus(u)).sum()


def all_patterns(n_steps: int, n_neurons: int) -> list[Tensor]:
    return [
        torch.tensor(bits, dtype=torch.float64).view(n_steps, 1, n_neurons)
        for bits in itertools.product((0.0, 1.0), repeat=n_steps * n_neurons)
    ]


@pytest.mark.parametrize("baseline", ["none", "mean"])
def test_the_mean_of_score_over_all_spike_patterns_is_the_exact_gradient(baseline: str) -> None:
    """Sum over y of p(y) [l(y)] by enumeration, against autograd of that very sum."""
    model = tiny_model((), 2, n_inputs=2, tau_d=2)
    rule = Rule(estimator="score", beta=0.4, prior=BernoulliPrior(0.2), baseline=baseline)
    inputs, targets, steps = random_spikes(3, 1, 2), random_images(1, 1, 2, 2), [2]
    leaves = {name: t.detach().requires_grad_() for name, t in model.weights[0].tensors()}
    graph = model.with_weights((type(model.weights[0])(**leaves),))
    exact = torch.zeros((), dtype=torch.float64)
    mean = {name: torch.zeros_like(t) for name, t in leaves.items()}
    running = Baseline(rule)
    running.state = {"baseline.mean": torch.tensor(1.7, dtype=torch.float64),
                     "baseline.mean.count": torch.tensor(1e9)}  # fmt: skip
    running.rate = 0.0
    for spikes in all_patterns(3, 2):
        record = given_spikes(graph, inputs, spikes)
        signal = decoder_signal(
            model.decoder, model.likelihood, spikes, targets, steps, model.tau_d
        )
        log_p = log_probability(record)
        prior = torch.distributions.Bernoulli(torch.tensor(0.2, dtype=torch.float64))
        cost = log_p - prior.log_prob(spikes).sum()
        exact = exact + log_p.exp() * (signal.losses.mean() + rule.beta * cost)
        detached = given_spikes(model, inputs, spikes)
        found = estimate(model.encoder, model.weights, (detached,), signal, rule, {}, running)
        for name in mean:
            mean[name] += log_p.exp().detach() * found.gradients[f"encoder.0.{name}"]
    for name, gradient in zip(leaves, torch.autograd.grad(exact, leaves.values()), strict=True):
        torch.testing.assert_close(mean[name], gradient)


def test_the_mean_of_score_over_samples_converges_to_the_exact_gradient() -> None:
    """4,096 lanes of the same example; every weight within five standard errors."""
    model = tiny_model((), 2, n_inputs=2, tau_d=2)
    rule = Rule(estimator="score", beta=0.4, prior=BernoulliPrior(0.2), baseline="none")
    one, target = random_spikes(3, 1, 2), random_images(1, 1, 2, 2)
    n_lanes, n_parts = 256, 16
    parts = []
    for part in range(n_parts):
        inputs = one.expand(3, n_lanes, 2)
        targets = target.expand(1, n_lanes, 2, 2)
        found, _ = estimated(model, inputs, targets, [2], rule, lane_keys(part, n_lanes))
        parts.append(found.gradients["encoder.0.synapses"])
    exact = torch.zeros_like(parts[0])
    for spikes in all_patterns(3, 2):
        record = given_spikes(model, one, spikes)
        signal = decoder_signal(model.decoder, model.likelihood, spikes, target, [2], 2)
        found = estimate(model.encoder, model.weights, (record,), signal, rule, {}, Baseline(rule))
        exact += log_probability(record).exp() * found.gradients["encoder.0.synapses"]
    stacked = torch.stack(parts)
    error = stacked.std(0) / n_parts**0.5
    assert bool(((stacked.mean(0) - exact).abs() < 5 * error).all())


def test_a_leave_one_out_baseline_by_hand() -> None:
    """l = 1, 3, 5: each loses the mean of the other two, (3+5)/2, (1+5)/2, (1+3)/2."""
    rule = Rule(estimator="score", baseline="leave-one-out", n_samples=3)
    centred = Baseline(rule).centred(torch.tensor([1.0, 3.0, 5.0]))
    assert centred.tolist() == [-3.0, 0.0, 3.0]


def test_the_mean_of_a_linear_control_variate_over_all_pairs_of_patterns_is_that_of_score() -> None:
    """Two independent samples, all 16 x 16 pairs of patterns, weighted by their probability."""
    model = tiny_model((), 2, n_inputs=2, tau_d=2, decoder={"kind": "mlp", "n_hidden": 3})
    plain = Rule(estimator="score", beta=0.4, prior=BernoulliPrior(0.2), baseline="none")
    paired = replace(plain, baseline="linear", n_samples=2)
    inputs, targets = random_spikes(2, 1, 2), random_images(1, 1, 2, 2)
    mean: dict[Rule, dict[str, Tensor]] = {plain: {}, paired: {}}
    for one, other in itertools.product(all_patterns(2, 2), repeat=2):
        spikes = torch.cat((one, other), 1)
        record = given_spikes(model, inputs.expand(-1, 2, -1), spikes)
        weight = log_probability(record).exp()
        signal = decoder_signal(
            model.decoder, model.likelihood, spikes, targets.expand(-1, 2, 2, 2), [1], model.tau_d
        )
        for rule, sums in mean.items():
            found = estimate(
                model.encoder, model.weights, (record,), signal, rule, {}, Baseline(rule)
            )
            for name, gradient in found.gradients.items():
                sums[name] = sums.get(name, 0.0) + weight * gradient
    for name, gradient in mean[plain].items():
        torch.testing.assert_close(mean[paired][name], gradient, msg=name)


def test_a_linear_control_variate_leaves_no_variance_where_the_loss_is_linear() -> None:
    """l = a . y: the estimate of every pair of samples is that of the exact gradient, a p (1-p)."""
    generator = torch.Generator().manual_seed(0)
    slope = torch.randn(3, 1, 2, generator=generator, dtype=torch.float64).expand(-1, 4, -1)
    probability = torch.rand(3, 1, 2, generator=generator, dtype=torch.float64).expand(-1, 4, -1)
    spikes = random_spikes(3, 4, 2)
    delta = linear_delta(
        (slope * spikes).sum((0, 2)), slope, spikes - probability, probability, n_samples=2
    )
    torch.testing.assert_close(delta, slope * probability * (1 - probability))


@pytest.mark.parametrize("feedback", ["symmetric", "random", "aligned"])
@pytest.mark.parametrize("credit", ["windowed", "instantaneous"])
@pytest.mark.parametrize("hidden", [(3,), (3, 2)])
def test_samples_that_share_their_sources_give_the_gradient_of_lanes_apart(
    feedback: str, credit: str, hidden: tuple[int, ...]
) -> None:
    model = tiny_model(hidden)
    rule = Rule(estimator="score", baseline="leave-one-out", n_samples=3, feedback=feedback,
                credit=credit, prior=BernoulliPrior(0.2), beta=0.1)  # fmt: skip
    state = LearnerState(model, Settings(rule))
    inputs, keys = random_spikes(5, 2, 4), lane_keys(0, 6)
    targets = random_images(1, 2, 2, 2).repeat_interleave(3, 1)
    found = []
    for given_inputs in (inputs, inputs.repeat_interleave(3, 1)):
        sequences = run_sequence(model.encoder, model.weights, given_inputs, keys)
        signal = decoder_signal(
            model.decoder, model.likelihood, sequences[-1].spikes, targets, [4], model.tau_d
        )
        found.append(
            estimate(model.encoder, model.weights, sequences, signal, rule, state.learned,
                     Baseline(rule))
        )  # fmt: skip
    for name, gradient in found[1].gradients.items():
        torch.testing.assert_close(found[0].gradients[name], gradient, msg=name)


def test_instantaneous_credit_by_hand() -> None:
    """One hidden neuron: its signal is the readout's delta of the same step times all weights."""
    model = tiny_model((1,), 1, n_inputs=1, tau_d=1)
    rule = Rule(beta=0.0, credit="instantaneous")
    inputs = torch.ones(3, 1, 1, dtype=torch.float64)
    targets = random_images(1, 1, 2, 2)
    keys = lane_keys(0, 1)
    found, signal = estimated(model, inputs, targets, [1], rule, keys)
    hidden, readout = run_sequence(model.encoder, model.weights, inputs, keys)
    p = torch.sigmoid(readout.potentials)
    delta = signal.window_gradient * p * (1 - p)
    q = torch.sigmoid(hidden.potentials)
    expected = delta * model.weights[1].synapses.sum() * q * (1 - q)
    torch.testing.assert_close(found.gradients["encoder.0.bias"], expected.sum((0, 1)))
