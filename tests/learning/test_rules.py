"""Whole updates: every combination lowers the loss of a tiny task; feedback comes to align."""

from __future__ import annotations

import pytest
import torch

from streamvdib.errors import CheckpointError, ConfigurationError
from streamvdib.learning.batch import Batch, BatchLearner
from streamvdib.learning.learner_state import LearnerState, Settings
from streamvdib.learning.optimisers import SGD
from streamvdib.learning.priors import AutoregressivePrior, LearnedPrior
from streamvdib.learning.rule import Rule
from tests.learning.networks import dense, random_spikes, tiny_model

CONVOLUTION = {
    "connection": {"kind": "convolution", "channels": 2, "kernel": 3, "stride": 2},
    "neuron": dense(1)["neuron"],
}


def two_images() -> Batch:
    """Eight lanes, two input patterns, one image each."""
    one, other = random_spikes(6, 1, 4, seed=1), random_spikes(6, 1, 4, seed=2)
    inputs = torch.cat((one, other), 1).repeat(1, 4, 1)
    images = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    return Batch(inputs, images.repeat(4, 1, 1)[None].double(), [5])


@pytest.mark.parametrize("feedback", ["symmetric", "random", "aligned"])
@pytest.mark.parametrize("credit", ["windowed", "instantaneous"])
@pytest.mark.parametrize("estimator", ["pathwise", "score"])
def test_learning_lowers_the_loss(estimator: str, credit: str, feedback: str) -> None:
    model = tiny_model((6,), 4, tau_d=4)
    rule = Rule(estimator=estimator, beta=1e-3, credit=credit, feedback=feedback)
    learner = BatchLearner(LearnerState(model, Settings(rule)))
    losses = [
        float(learner.learn(two_images(), 0.02, 0.02).estimate.decoder_loss) for _ in range(150)
    ]
    assert sum(losses[-20:]) < 0.6 * sum(losses[:20])


def test_convolutional_layers_learn() -> None:
    model = tiny_model(
        layers=[CONVOLUTION, dense(4, stochastic=True)], input_shape=[1, 6, 6], tau_d=4
    )
    learner = BatchLearner(LearnerState(model, Settings(Rule(beta=0.0))))
    before = model.weights[0].synapses.clone()
    batch = Batch(random_spikes(6, 8, 36), torch.rand(1, 8, 2, 2).double(), [5])
    learner.learn(batch, 0.05, 0.05)
    assert not torch.equal(learner.state.weights[0].synapses, before)


def test_a_large_beta_brings_the_readout_to_the_prior() -> None:
    model = tiny_model((), 4, tau_d=4)
    learner = BatchLearner(LearnerState(model, Settings(Rule(beta=10.0))))
    for _ in range(300):
        outcome = learner.learn(two_images(), 0.03, 0.03)
    assert float(outcome.estimate.information) < 0.05
    assert abs(float(outcome.estimate.spikes_per_step) / 4 - 0.3) < 0.1


@pytest.mark.parametrize("prior", [LearnedPrior(0.02), AutoregressivePrior(0.02)])
def test_a_learned_prior_costs_less_than_it_began_with(prior: LearnedPrior) -> None:
    model = tiny_model((), 4, tau_d=4)
    learner = BatchLearner(LearnerState(model, Settings(Rule(beta=0.0, prior=prior))))
    costs = [
        float(learner.learn(two_images(), 0.05, 0.05).estimate.information) for _ in range(150)
    ]
    assert costs[-1] < 0.5 * costs[0]


def test_aligned_feedback_turns_towards_the_weights() -> None:
    """The angle between B and the summed readout weights shrinks."""
    model = tiny_model((6,), 4, tau_d=4)
    rule = Rule(feedback="aligned", beta=0.0)
    state = LearnerState(model, Settings(rule, SGD(), SGD()))

    def cosine() -> float:
        weights = state.weights[1].synapses.sum(0).T.flatten()
        return float(torch.cosine_similarity(weights, state.learned["feedback.0"].flatten(), 0))

    before = cosine()
    learner = BatchLearner(state)
    for _ in range(200):
        learner.learn(two_images(), 0.2, 0.02)
    assert cosine() > before + 0.1


def test_a_per_weight_baseline_needs_one_lane() -> None:
    rule = Rule(estimator="score", baseline="per-weight")
    learner = BatchLearner(LearnerState(tiny_model((3,)), Settings(rule)))
    with pytest.raises(ConfigurationError, match="one lane"):
        learner.learn(two_images(), 0.1, 0.1)
    one = Batch(random_spikes(6, 1, 4), torch.rand(1, 1, 2, 2).double(), [5])
    learner.learn(one, 0.1, 0.1)


def test_a_state_comes_back_as_it_was_and_refuses_another_network() -> None:
    rule = Rule(estimator="score", feedback="aligned", prior=LearnedPrior())
    state = LearnerState(tiny_model((3,)), Settings(rule))
    BatchLearner(state).learn(two_images(), 0.1, 0.1)
    other = LearnerState(tiny_model((3,), seed=5), Settings(rule))
    other.load_tensors(state.tensors())
    for name, tensor in state.tensors().items():
        torch.testing.assert_close(other.tensors()[name], tensor, rtol=0, atol=0)
    with pytest.raises(CheckpointError, match="another model"):
        LearnerState(tiny_model((4,)), Settings(rule)).load_tensors(state.tensors())


def test_unknown_choices_are_named() -> None:
    for wrong in ({"estimator": "magic"}, {"feedback": "none"}, {"baseline": "median"}):
        with pytest.raises(ConfigurationError, match="must be one of"):
            Rule(**wrong)
    with pytest.raises(ConfigurationError, match="beta"):
        Rule(beta=-1.0)
    with pytest.raises(ConfigurationError, match="n_samples"):
        Rule(baseline="leave-one-out")
