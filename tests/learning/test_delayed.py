"""Learning in compiled loops: the updates of the torch learner, whatever the block length."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from streamvdib.engine import Engine
from streamvdib.errors import ConfigurationError
from streamvdib.input_steps import input_steps
from streamvdib.learning.build import make_learner
from streamvdib.learning.delayed import DelayedLearner
from streamvdib.learning.guard import Guard, Limits
from streamvdib.learning.learner_state import Settings
from streamvdib.learning.online import OnlineLearner
from streamvdib.learning.optimisers import SGD
from streamvdib.learning.rule import Rule
from tests.learning.networks import random_spikes, tiny_model

IMAGE = np.array([[0.1, 0.9], [0.4, 0.0]], np.float32)
N_STEPS = 80


def settings(learning_rate: float = 0.05, largest_norm: float = 0.0) -> Settings:
    rule = Rule("score", 0.1, feedback="random", credit="instantaneous")
    return Settings(rule, SGD(), SGD(), learning_rate, largest_norm=largest_norm)


class Targets:
    """An image at some steps, none at others."""

    def __init__(self, missing: tuple[int, ...] = (), images: dict[int, float] | None = None):
        self.missing, self.images = missing, images or {}

    def at(self, end_us: int) -> np.ndarray | None:
        step = end_us // 1000
        if step in self.missing:
            return None
        return np.full((1, 2, 2), self.images[step]) if step in self.images else IMAGE[None]


def delayed(
    chosen: Settings, hidden: tuple[int, ...] = (5,), *, block: int = 4, decode_every: int = 1,
    every_step: bool = True, targets: Targets | None = None, is_guarded: bool = False,
) -> tuple[Engine, DelayedLearner]:  # fmt: skip
    model = tiny_model(hidden, 3, tau_d=4)
    learner = DelayedLearner(
        model, chosen, block=block, decode_every=decode_every, every_step=every_step
    )
    engine = Engine(model, None, backend="numba", dtype=torch.float64, learner=learner,
                    targets=targets or Targets())  # fmt: skip
    if is_guarded:
        engine.learner = Guard(learner, model, Limits(warm_up=0))
    return engine, learner


def reference(
    chosen: Settings, hidden: tuple[int, ...], update_every: int = 1, targets: Targets | None = None
) -> Engine:
    model = tiny_model(hidden, 3, tau_d=4)
    learner = OnlineLearner(model, chosen, update_every=update_every)
    return Engine(model, None, backend="torch", dtype=torch.float64, learner=learner,
                  targets=targets or Targets())  # fmt: skip


def run(engine: Engine, start: int = 0, end: int = N_STEPS) -> np.ndarray:
    """Spikes of the readout over some steps of a fixed input."""
    seen: list[np.ndarray] = []
    engine.observers.append(lambda _, spikes: seen.append(spikes.copy()))
    spikes = random_spikes(N_STEPS, 1, 4)[start:end]
    list(
        engine.run(input_steps(spikes.numpy(), first_step=engine.step, start_us=engine.step * 1000))
    )
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


@pytest.mark.parametrize("update_every", [1, 5, 7])
@pytest.mark.parametrize("missing", [(), tuple(range(9, 36)), (2, 3, 60, 61, 62)])
def test_with_each_target_updates_are_those_of_torch(
    update_every: int, missing: tuple[int, ...]
) -> None:
    """A step's information cost counts in the next update, however long that is in coming."""
    targets = Targets(missing)
    engine, learner = delayed(
        settings(), decode_every=update_every, every_step=update_every == 1, targets=targets
    )
    oracle = reference(settings(), (5,), update_every, targets)
    np.testing.assert_array_equal(run(engine), run(oracle))
    learner.settle()
    assert_same_weights(engine, oracle, 2e-6)


@tried(max_examples=25)
@given(
    cut=st.integers(1, N_STEPS - 1),
    decode_every=st.sampled_from([1, 3, 10]),
    is_guarded=st.booleans(),
    every_step=st.booleans(),
)
def test_a_run_resumed_anywhere_is_the_same_to_the_bit(
    cut: int, decode_every: int, is_guarded: bool, every_step: bool
) -> None:
    """In the middle of a block, between targets, before an update that is taken back."""

    def made() -> tuple[Engine, DelayedLearner]:
        return delayed(settings(), block=16, decode_every=decode_every, is_guarded=is_guarded,
                       every_step=every_step, targets=Targets(images={60: 900.0}))  # fmt: skip

    (whole, whole_learner), (first, _), (second, second_learner) = made(), made(), made()
    spikes = run(whole)
    run(first, 0, cut)
    second.restore(first.snapshot())
    np.testing.assert_array_equal(run(second, cut), spikes[cut:])
    whole_learner.settle()
    second_learner.settle()
    assert_same_weights(second, whole, 0.0)


def test_a_guard_takes_an_update_back_to_the_bit() -> None:
    """With all that was learned since the target before, and what the decoder was to learn."""
    targets = Targets(images={48: 900.0})
    engine, learner = delayed(settings(), block=64, decode_every=4, targets=targets,
                              is_guarded=True)  # fmt: skip
    until, until_learner = delayed(settings(), block=64, decode_every=4)
    seen, expected = run(engine, 0, 48), run(until, 0, 44)
    np.testing.assert_array_equal(seen[:44], expected)
    assert isinstance(engine.learner, Guard)
    assert engine.learner.counts["undone"] == 1, engine.learner.reason
    learner.settle()
    until_learner.settle()
    assert_same_weights(engine, until, 0.0)
    assert learner.generation == until_learner.generation


def test_a_guard_that_finds_nothing_changes_nothing() -> None:
    (engine, learner), (plain, plain_learner) = (
        delayed(settings(), decode_every=5, is_guarded=True),
        delayed(settings(), decode_every=5),
    )
    np.testing.assert_array_equal(run(engine), run(plain))
    learner.settle()
    plain_learner.settle()
    assert_same_weights(engine, plain, 1e-12)  # factors are written in other groups


def test_a_bound_on_the_change_is_close_to_it() -> None:
    """Never less than the norm; more by what the factors of different steps have in common."""
    engine, learner = delayed(settings(), decode_every=5)
    run(engine, 0, 20)
    learner.try_updates()  # of steps that it has not seen itself there is no bound: they last
    before = {name: t.clone() for name, t in engine.model.tensors().items()}
    run(engine, 20, 24)
    bound = learner.change()
    learner.settle()
    squares = sum(float(((t - before[n]) ** 2).sum()) for n, t in engine.model.tensors().items())
    assert np.sqrt(squares) <= bound <= 3 * np.sqrt(squares)


def test_what_the_loops_do_not_know_is_named() -> None:
    model = tiny_model((5,), 3, tau_d=4)
    with pytest.raises(ConfigurationError, match=r"the estimator 'score', .*'sgd'"):
        DelayedLearner(model, Settings(Rule()))


def test_a_limit_that_the_loops_would_not_hold_is_refused() -> None:
    chosen = replace(settings(), divergence_norm=1e9)
    with pytest.raises(ConfigurationError, match=r"a divergence_norm of 1e\+06"):
        DelayedLearner(tiny_model((5,), 3, tau_d=4), chosen)


CHOICE = {
    "estimator": "score", "optimiser": "sgd", "feedback": "random", "credit": "instantaneous",
}  # fmt: skip


def test_the_compiled_learner_is_taken_where_it_can_be() -> None:
    engine = Engine(tiny_model((5,), 3), None, backend="numba")
    assert isinstance(make_learner(engine.model, engine=engine, **CHOICE), DelayedLearner)
    for options in ({"backend": "torch", "engine": engine}, {}):
        assert isinstance(make_learner(engine.model, **CHOICE, **options), OnlineLearner)
    other = Engine(tiny_model((5,), 3), None, backend="torch")
    assert isinstance(make_learner(other.model, engine=other, **CHOICE), OnlineLearner)


@pytest.mark.parametrize(
    ("options", "lack"),
    [
        ({"backend": "compiled", "optimiser": "adam"}, "the optimiser 'sgd' for the encoder"),
        ({"backend": "compiled", "engine": "torch"}, "the numba backend"),
        ({"backend": "compiled", "engine": "lanes"}, "one lane; this engine has 2"),
        ({"backend": "compiled", "engine": None}, "the engine that will learn"),
        ({"update_every": 2, "target_every": 4}, "update_every 1 where targets come less often"),
        ({"update_every": 1, "target_every": 4, "backend": "torch"}, "torch was asked for"),
        ({"backend": "quick"}, "must be one of auto, torch, compiled; got 'quick'"),
    ],
)
def test_what_the_compiled_learner_lacks_is_named(options: dict[str, Any], lack: str) -> None:
    model = tiny_model((5,), 3)
    engines = {
        "torch": Engine(model, None, backend="torch"),
        "lanes": Engine(model, None, n_streams=2, backend="numba"),
        "numba": Engine(model, None, backend="numba"),
        None: None,
    }
    engine = engines[options.pop("engine", "numba")]
    with pytest.raises(ConfigurationError, match=lack):
        make_learner(model, engine=engine, **(CHOICE | options))
