"""Learning in compiled loops: the updates of the torch learner, whatever the block length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from streamvdib.engine import Engine
from streamvdib.errors import ConfigurationError
from streamvdib.input_steps import input_steps
from streamvdib.learning.delayed import DelayedLearner
from streamvdib.learning.learner_state import Settings
from streamvdib.learning.online import OnlineLearner
from streamvdib.learning.optimisers import SGD
from streamvdib.learning.rule import Rule
from streamvdib.learning.targets import FixedTarget
from tests.learning.networks import random_spikes, tiny_model

IMAGE = np.array([[0.1, 0.9], [0.4, 0.0]], np.float32)
N_STEPS = 80


def settings(learning_rate: float = 0.05, largest_norm: float = 0.0) -> Settings:
    rule = Rule("score", 0.1, feedback="random", credit="instantaneous")
    return Settings(rule, SGD(), SGD(), learning_rate, largest_norm=largest_norm)


def delayed(
    chosen: Settings, hidden: tuple[int, ...] = (5,), *, block: int = 4, decode_every: int = 1
) -> tuple[Engine, DelayedLearner]:
    model = tiny_model(hidden, 3, tau_d=4)
    learner = DelayedLearner(model, chosen, block=block, decode_every=decode_every)
    engine = Engine(model, None, backend="numba", dtype=torch.float64, learner=learner,
                    targets=FixedTarget(IMAGE))  # fmt: skip
    learner.attach(engine)
    return engine, learner


def reference(chosen: Settings, hidden: tuple[int, ...]) -> Engine:
    model = tiny_model(hidden, 3, tau_d=4)
    learner = OnlineLearner(model, chosen, update_every=1)
    return Engine(model, None, backend="torch", dtype=torch.float64, learner=learner,
                  targets=FixedTarget(IMAGE))  # fmt: skip


def run(engine: Engine, start: int = 0, end: int = N_STEPS) -> np.ndarray:
    """Spikes of the readout over some steps of a fixed input."""
    seen: list[np.ndarray] = []
    engine.observers.append(lambda _, spikes: seen.append(spikes.copy()))
    spikes = random_spikes(N_STEPS, 1, 4)[start:end]
    list(engine.run(input_steps(spikes.numpy(), first_step=engine.step, dt_us=1000)))
    return np.concatenate(seen)


def assert_same_weights(one: Engine, other: Engine, tolerance: float) -> None:
    names = one.model.tensors()
    for name, tensor in other.model.tensors().items():
        torch.testing.assert_close(names[name], tensor, rtol=0, atol=tolerance, msg=name)


@pytest.mark.parametrize("hidden", [(), (5,), (5, 6)])
@pytest.mark.parametrize("largest_norm", [0.0, 0.5])
def test_spikes_and_weights_are_those_of_the_torch_learner(
    hidden: tuple[int, ...], largest_norm: float
) -> None:
    chosen = settings(largest_norm=largest_norm)
    engine, learner = delayed(chosen, hidden)
    oracle = reference(chosen, hidden)
    before = oracle.model.weights[0].synapses.clone()
    np.testing.assert_array_equal(run(engine), run(oracle))
    learner.settle()
    assert_same_weights(engine, oracle, 2e-6)  # its records hold potentials in float32
    assert (oracle.model.weights[0].synapses - before).abs().max() > 1e-3
    assert learner.generation == N_STEPS


@pytest.mark.parametrize("block", [1, 7, 16])
def test_the_block_length_does_not_matter(block: int) -> None:
    (engine, learner), (other, other_learner) = (
        delayed(settings()),
        delayed(settings(), block=block),
    )
    np.testing.assert_array_equal(run(engine), run(other))
    learner.settle()
    other_learner.settle()
    assert_same_weights(engine, other, 1e-10)


def test_a_learning_rate_of_zero_is_inference_to_the_bit() -> None:
    engine, learner = delayed(settings(learning_rate=0.0))
    plain = Engine(tiny_model((5,), 3, tau_d=4), None, backend="numba", dtype=torch.float64)
    np.testing.assert_array_equal(run(engine), run(plain))
    learner.settle()
    assert_same_weights(engine, plain, 0.0)
    assert learner.generation == N_STEPS


def test_a_run_resumed_in_the_middle_of_a_block_is_the_same_to_the_bit() -> None:
    whole, whole_learner = delayed(settings(), block=16, decode_every=3)
    first, _ = delayed(settings(), block=16, decode_every=3)
    second, second_learner = delayed(settings(), block=16, decode_every=3)
    spikes = run(whole)
    run(first, 0, 38)
    second.restore(first.snapshot())
    np.testing.assert_array_equal(run(second, 38), spikes[38:])
    whole_learner.settle()
    second_learner.settle()
    assert_same_weights(second, whole, 0.0)


def test_what_the_loops_do_not_know_is_named() -> None:
    model = tiny_model((5,), 3, tau_d=4)
    with pytest.raises(ConfigurationError, match=r"the estimator 'score', .*'sgd'"):
        DelayedLearner(model, Settings(Rule()))


def test_a_limit_that_the_loops_would_not_hold_is_refused() -> None:
    chosen = replace(settings(), divergence_norm=1e9)
    with pytest.raises(ConfigurationError, match=r"a divergence_norm of 1e\+06"):
        DelayedLearner(tiny_model((5,), 3, tau_d=4), chosen)
