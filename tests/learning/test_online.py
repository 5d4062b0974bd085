"""The streaming learner: it is the offline one, it can stand still, and it stops in time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from streamvdib.engine import Engine
from streamvdib.errors import ConfigurationError, LearningError, TargetError
from streamvdib.input_steps import input_steps
from streamvdib.learning.baseline import Baseline
from streamvdib.learning.batch import Batch, BatchLearner
from streamvdib.learning.build import make_learner
from streamvdib.learning.learner_state import LearnerState, Settings
from streamvdib.learning.online import OnlineLearner
from streamvdib.learning.optimisers import SGD, Adam, Optimiser
from streamvdib.learning.records import Records
from streamvdib.learning.rule import Rule
from streamvdib.learning.targets import FixedTarget
from streamvdib.model import Model
from tests.learning.networks import random_spikes, tiny_model

N_STEPS = 6
IMAGE = np.array([[0.1, 0.9], [0.4, 0.0]], np.float32)


def model_of(seed: int = 0) -> Model:
    return tiny_model((5,), 3, tau_d=4, seed=seed, dtype=torch.float32)


def engine_with(learner: OnlineLearner | None, model: Model, decode_every: int = 1) -> Engine:
    return Engine(
        model, None, decode_every=decode_every, backend="torch",
        learner=learner, targets=FixedTarget(IMAGE),
    )  # fmt: skip


def show(engine: Engine, spikes: torch.Tensor, restarts: bool = False) -> list[np.ndarray]:
    steps = input_steps(spikes.numpy(), first_step=engine.step, dt_us=1000)
    return [frame.pixels for frame in engine.run(replace(steps, restarts=restarts))]


@pytest.mark.parametrize("estimator", ["pathwise", "score"])
def test_one_lane_online_equals_batch_one_offline(estimator: str) -> None:
    """Three sequences, an update at the end of each, the stream restarted between them."""
    settings = Settings(Rule(estimator=estimator, beta=0.1), learning_rate=0.05)
    online_model, offline_model = model_of(), model_of()
    learner = OnlineLearner(online_model, settings, update_every=N_STEPS)
    engine = engine_with(learner, online_model)
    offline = BatchLearner(LearnerState(offline_model, settings))
    target = torch.from_numpy(IMAGE)[None, None]
    for example in range(3):
        spikes = random_spikes(N_STEPS, 1, 4, seed=example).float()
        show(engine, spikes, restarts=True)
        offline.learn(Batch(spikes, target, [N_STEPS - 1]), 0.05, 0.05)
    expected = offline.state.tensors()
    for name, tensor in learner.state.tensors().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-6, msg=name)
    assert learner.generation == 3


def test_a_rate_and_a_beta_set_while_running_hold_from_the_next_update_on() -> None:
    """As if the offline learner had been given both for its second and third batch."""
    settings = Settings(Rule(beta=0.1), learning_rate=0.05)
    online_model, offline_model = model_of(), model_of()
    learner = OnlineLearner(online_model, settings, update_every=N_STEPS)
    engine = engine_with(learner, online_model)
    offline = BatchLearner(LearnerState(offline_model, settings))
    target = torch.from_numpy(IMAGE)[None, None]
    for example, (rate, beta) in enumerate([(0.05, 0.1), (0.01, 0.1), (0.01, 2.0)]):
        learner.learning_rate = learner.decoder_learning_rate = rate
        learner.beta = beta
        offline.state.rule = replace(offline.state.rule, beta=beta)
        spikes = random_spikes(N_STEPS, 1, 4, seed=example).float()
        show(engine, spikes, restarts=True)
        offline.learn(Batch(spikes, target, [N_STEPS - 1]), rate, rate)
        assert learner.metrics()["beta"] == beta
    expected = offline.state.tensors()
    for name, tensor in learner.state.tensors().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("estimator", ["pathwise", "score"])
@pytest.mark.parametrize("hidden", [(), (5,)])
@pytest.mark.parametrize("prior", [{"kind": "bernoulli"}, {"kind": "autoregressive", "memory": 15}])
def test_the_records_hold_all_that_the_oldest_credited_step_needs(
    prior: dict[str, Any], hidden: tuple[int, ...], estimator: str
) -> None:
    """A longer record changes no weight, also where feedback or the prior looks back furthest."""
    weights = []
    for n_more in (0, 20):
        model = tiny_model(hidden, 3, tau_d=4, dtype=torch.float32)
        learner = make_learner(model, estimator, update_every=2, learning_rate=0.05, prior=prior)
        capacity = learner.records.capacity + n_more
        learner.records = Records(model.encoder, capacity, n_lanes=1)
        show(engine_with(learner, model), random_spikes(40, 1, 4).float())
        weights.append(learner.state.tensors())
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=1e-5, atol=1e-5, msg=name)


@pytest.mark.parametrize("estimator", ["pathwise", "score"])
def test_a_learning_rate_of_zero_is_inference_to_the_bit(estimator: str) -> None:
    spikes = random_spikes(40, 1, 4).float()
    plain = show(engine_with(None, model_of()), spikes)
    model = model_of()
    learner = make_learner(model, estimator, update_every=3, learning_rate=0.0)
    watched = show(engine_with(learner, model), spikes)
    assert learner.generation > 0
    for one, other in zip(plain, watched, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_paused_learner_changes_nothing_and_goes_on_when_resumed() -> None:
    model = model_of()
    learner = make_learner(model, update_every=2, learning_rate=0.1)
    engine = engine_with(learner, model)
    learner.pause()
    before = learner.state.weights[0].synapses.clone()
    show(engine, random_spikes(10, 1, 4).float())
    torch.testing.assert_close(learner.state.weights[0].synapses, before, rtol=0, atol=0)
    learner.resume()
    show(engine, random_spikes(10, 1, 4).float())
    assert learner.generation == 5
    assert not torch.equal(engine.model.weights[0].synapses, before)


def test_a_resumed_run_learns_the_same() -> None:
    """Run = half, save, load into a new engine and learner, the other half."""
    spikes = random_spikes(24, 1, 4).float()
    whole_model, first_model, second_model = model_of(), model_of(), model_of(seed=9)

    def engine_for(model: Model) -> Engine:
        learner = make_learner(model, update_every=3, learning_rate=0.05, feedback="random")
        return engine_with(learner, model)

    whole = engine_for(whole_model)
    show(whole, spikes)
    first = engine_for(first_model)
    show(first, spikes[:10])
    second = engine_for(second_model)
    second.restore(first.snapshot())
    show(second, spikes[10:])
    for name, tensor in whole.snapshot().tensors.items():
        if not name.startswith("statistics."):
            torch.testing.assert_close(
                second.snapshot().tensors[name], tensor, rtol=0, atol=0, msg=name
            )


def test_divergence_is_named_and_leaves_the_last_good_weights() -> None:
    model = model_of()
    learner = make_learner(model, update_every=2, learning_rate=0.1)
    engine = engine_with(learner, model)
    show(engine, random_spikes(4, 1, 4).float())
    good = [t.clone() for t in learner.state.encoder.values()]
    decoder = [p.detach().clone() for p in model.decoder.parameters()]
    learner.state.settings = replace(learner.state.settings, divergence_norm=1e-9)
    with pytest.raises(LearningError, match="last good weights"):
        show(engine, random_spikes(4, 1, 4).float())
    assert learner.paused
    for before, after in zip(good, learner.state.encoder.values(), strict=True):
        torch.testing.assert_close(after, before, rtol=0, atol=0)
    for before, parameter in zip(decoder, model.decoder.parameters(), strict=True):
        torch.testing.assert_close(parameter.detach(), before, rtol=0, atol=0)


@pytest.mark.parametrize("optimiser", [SGD(), SGD(momentum=0.9), Adam()])
def test_an_update_that_would_explode_the_weights_is_named_and_not_made(
    optimiser: Optimiser,
) -> None:
    model = model_of()
    settings = Settings(Rule(), optimiser, optimiser, learning_rate=0.01)
    learner = OnlineLearner(model, settings, update_every=1)
    engine = engine_with(learner, model)
    show(engine, random_spikes(10, 1, 4).float())
    before = {name: t.clone() for name, t in learner.state.tensors().items()}
    learner.learning_rate = 1e9
    with pytest.raises(LearningError, match="weights of at most 10000; got one that may change"):
        show(engine, random_spikes(10, 1, 4).float())
    assert learner.paused
    after = learner.state.tensors()
    for name, tensor in before.items():
        if not name.startswith("baseline."):
            torch.testing.assert_close(after[name], tensor, rtol=0, atol=0, msg=name)


def test_a_weight_near_the_limit_may_move_as_far_as_the_limit_only() -> None:
    """Adam moves a weight by at most 3.17 times the rate."""
    model = model_of()
    settings = Settings(Rule(), Adam(), Adam(), learning_rate=0.3)
    learner = OnlineLearner(model, settings, update_every=1)
    learner.state.encoder["encoder.0.bias"][0] = -9999.0
    engine = engine_with(learner, model)
    show(engine, random_spikes(1, 1, 4).float())
    learner.learning_rate = 0.33
    with pytest.raises(LearningError, match=r"at most 10000; .* the largest is 9999"):
        show(engine, random_spikes(1, 1, 4).float())
    assert learner.generation == 1


def test_a_loss_that_was_not_finite_leaves_no_trace_in_the_baseline() -> None:
    for kind in ("mean", "per-weight"):
        baseline = Baseline(Rule(estimator="score", baseline=kind))
        for common in (2.0, float("nan"), float("inf"), 4.0):
            gradients = {"encoder.0.bias": torch.tensor([0.5])}
            baseline.centred(torch.tensor([common]))
            baseline.finish(gradients)
        assert all(bool(t.isfinite().all()) for t in baseline.state.values()), kind


def test_a_decoder_without_a_rate_of_its_own_follows_the_rate_that_is_set() -> None:
    follows = make_learner(model_of(), learning_rate=0.1)
    follows.learning_rate = 0.0
    assert follows.decoder_learning_rate == 0.0
    own = make_learner(model_of(), learning_rate=0.1, decoder_learning_rate=0.0)
    assert own.decoder_learning_rate == 0.0
    own.learning_rate = 0.2
    assert (own.learning_rate, own.decoder_learning_rate) == (0.2, 0.0)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_rates_that_cannot_be_meant_are_refused(value: float) -> None:
    learner = make_learner(model_of())
    for name in ("learning_rate", "beta"):
        with pytest.raises(ConfigurationError, match=f"{name} must be a finite number"):
            setattr(learner, name, value)
    for name in ("learning_rate", "decoder_learning_rate", "beta"):
        with pytest.raises(ConfigurationError, match=f"{name} must be a finite number"):
            make_learner(model_of(), **{name: value})
    with pytest.raises(ConfigurationError, match="one lane"):
        make_learner(model_of(), "score", baseline="per-weight", n_lanes=2)


def test_a_target_of_another_shape_is_refused() -> None:
    model = model_of()
    learner = make_learner(model, update_every=1)
    engine = engine_with(learner, model)
    engine.targets = FixedTarget(np.zeros((3, 3), np.float32))
    with pytest.raises(TargetError, match=r"\(1, 2, 2\)"):
        show(engine, random_spikes(2, 1, 4).float())


def test_the_records_stay_as_large_as_they_began() -> None:
    model = model_of()
    learner = make_learner(model, update_every=2, learning_rate=1e-3)
    engine = engine_with(learner, model)
    show(engine, random_spikes(20, 1, 4).float())
    before = {name: (t.shape, t.data_ptr()) for name, t in learner.records.tensors().items()
              if name != "records.counts"}  # fmt: skip
    show(engine, random_spikes(200, 1, 4).float())
    after = {name: (t.shape, t.data_ptr()) for name, t in learner.records.tensors().items()
             if name != "records.counts"}  # fmt: skip
    assert before == after
