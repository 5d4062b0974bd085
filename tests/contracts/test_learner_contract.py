"""What every learner must hold: it learns in the engine, stands still, and goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from streamvdib.engine import Engine
from streamvdib.errors import CheckpointError
from streamvdib.input_steps import input_steps
from streamvdib.learning.delayed import DelayedLearner
from streamvdib.learning.learner_state import Settings
from streamvdib.learning.membrane_learner import MembranePotentialLearner
from streamvdib.learning.membrane_potential import MembranePotentialSettings
from streamvdib.learning.online import OnlineLearner
from streamvdib.learning.optimisers import SGD
from streamvdib.learning.rule import Rule
from streamvdib.learning.targets import FixedTarget
from streamvdib.model import Model
from tests.learning.networks import random_spikes, tiny_model

N_STEPS = 60
IMAGE = np.array([[0.1, 0.9], [0.4, 0.0]], np.float32)
SPIKES = np.array([1.0, 0.0, 1.0, 0.0], np.float32)  # of a readout of four neurons


@dataclass(frozen=True)
class Case:
    """A learner, the model that it learns on, and what it is told."""

    learner: Callable[[Model], Any]
    target: np.ndarray | None = None
    hard_reset: bool = False
    backend: str = "torch"


def online(estimator: str, update_every: int) -> Callable[[Model], OnlineLearner]:
    settings = Settings(Rule(estimator=estimator, beta=0.1), learning_rate=0.05)
    return lambda model: OnlineLearner(model, settings, update_every=update_every)


def delayed(model: Model) -> DelayedLearner:
    rule = Rule("score", 0.1, feedback="random", credit="instantaneous")
    return DelayedLearner(model, Settings(rule, SGD(), SGD(), 0.05), block=4)


def membrane(update_every: int, **changes: bool) -> Callable[[Model], MembranePotentialLearner]:
    reconstructs = changes.pop("reconstructs", False)
    settings = MembranePotentialSettings(learning_rate=0.01, forgets_moments=False, **changes)
    return lambda model: MembranePotentialLearner(
        model, reconstructs=reconstructs, update_every=update_every, settings=settings
    )


LEARNERS = {
    "pathwise": Case(online("pathwise", 1), IMAGE),
    "score, every third step": Case(online("score", 3), IMAGE),
    "delayed": Case(delayed, IMAGE, backend="numba"),
    "membrane potential, autoencoder": Case(membrane(1, reconstructs=True), None, True),
    "membrane potential, target spikes": Case(membrane(1), SPIKES, True),
    "membrane potential, every third step": Case(membrane(3, reconstructs=True), None, True),
    "membrane potential, mean current kept": Case(
        membrane(1, reconstructs=True, keeps_mean_current=True), None, True
    ),
}


@pytest.fixture(params=sorted(LEARNERS))
def case(request: pytest.FixtureRequest) -> Case:
    return LEARNERS[request.param]


def model_of(case: Case) -> Model:
    if not case.hard_reset:
        return tiny_model((5,), 3, tau_d=4, dtype=torch.float32)
    neuron = {"kind": "lif_hard_reset", "leak": 0.1}
    layers = [{"connection": {"kind": "dense", "n_neurons": n}, "neuron": neuron} for n in (5, 4)]
    model = tiny_model(layers=layers, dtype=torch.float32)
    return model.with_weights(
        tuple(replace(layer, synapses=layer.synapses + 0.3) for layer in model.weights)
    )


def engine_of(case: Case) -> Engine:
    model = model_of(case)
    learner = case.learner(model)
    engine = Engine(
        model, None, backend=case.backend, dtype=torch.float32, learner=learner,
        targets=None if case.target is None else FixedTarget(case.target),
    )  # fmt: skip
    if isinstance(learner, DelayedLearner):
        learner.attach(engine)
    return engine


def run(engine: Engine, start: int = 0, end: int = N_STEPS, cut: int = N_STEPS) -> None:
    """Some steps of a fixed input, in packets of ``cut`` steps."""
    spikes = random_spikes(max(end, N_STEPS), 1, 4, seed=3).numpy()
    for first in range(start, end, cut):
        part = spikes[first : min(first + cut, end)]
        list(engine.run(input_steps(part, first_step=engine.step, dt_us=1000)))


def weights_of(engine: Engine) -> dict[str, torch.Tensor]:
    """Every weight as it is now, copied."""
    if isinstance(engine.learner, DelayedLearner):
        engine.learner.settle()
    return {name: tensor.detach().clone() for name, tensor in engine.model.tensors().items()}


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_every_layer_of_the_encoder_learns(case: Case) -> None:
    engine = engine_of(case)
    before = [layer.synapses.clone() for layer in engine.model.weights]
    run(engine)
    weights_of(engine)
    for index, layer in enumerate(engine.model.weights):
        assert not torch.equal(layer.synapses, before[index]), index
        assert bool(torch.isfinite(layer.synapses).all())


def test_a_paused_learner_changes_nothing_and_goes_on_when_resumed(case: Case) -> None:
    engine = engine_of(case)
    run(engine, 0, 20)
    learner: Any = engine.learner
    learner.pause()
    assert learner.paused
    before = weights_of(engine)
    run(engine, 20, 40)
    assert_same(weights_of(engine), before)
    learner.resume()
    run(engine, 40, N_STEPS)
    after = weights_of(engine)
    assert any(not torch.equal(tensor, before[name]) for name, tensor in after.items())


@pytest.mark.parametrize("cut", [1, 29, 30])
def test_a_run_is_save_and_load_and_run_to_the_bit(case: Case, cut: int) -> None:
    whole, first, second = engine_of(case), engine_of(case), engine_of(case)
    run(whole)
    run(first, 0, cut)
    second.restore(first.snapshot())
    run(second, cut)
    assert_same(weights_of(second), weights_of(whole))


@pytest.mark.parametrize("cut", [1, 7])
def test_what_is_learned_does_not_depend_on_how_steps_are_cut_into_packets(
    case: Case, cut: int
) -> None:
    whole, parts = engine_of(case), engine_of(case)
    run(whole)
    run(parts, cut=cut)
    assert_same(weights_of(parts), weights_of(whole))


def test_a_restart_keeps_the_weights(case: Case) -> None:
    engine = engine_of(case)
    run(engine)
    before = weights_of(engine)
    engine.restart()
    assert_same(weights_of(engine), before)


def test_what_a_learner_remembers_does_not_grow_with_the_stream(case: Case) -> None:
    engine = engine_of(case)
    run(engine, 0, 30)
    learner: Any = engine.learner
    before = {name: tensor.shape for name, tensor in learner.tensors().items()}
    for _ in range(10):
        run(engine, 0, 30)
    assert {name: tensor.shape for name, tensor in learner.tensors().items()} == before


def test_a_checkpoint_that_lacks_its_tensors_is_refused(case: Case) -> None:
    learner: Any = engine_of(case).learner
    with pytest.raises(CheckpointError):
        learner.load_tensors({})
