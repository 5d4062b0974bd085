"""Learning on the membrane potential while an engine runs: the Learner contract."""

from __future__ import annotations

import dataclasses
import tracemalloc

import numpy as np
import pytest
import torch

from streamvdib.engine import Engine
from streamvdib.errors import CheckpointError, ConfigurationError, TargetError
from streamvdib.input_steps import input_steps
from streamvdib.learning.membrane_learner import MembranePotentialLearner
from streamvdib.learning.membrane_potential import (
    MembranePotentialRule,
    MembranePotentialSettings,
)
from streamvdib.model import Model, new_model

SETTINGS = MembranePotentialSettings(learning_rate=0.01, forgets_moments=False)


def model_of(n_outputs: int = 6) -> Model:
    neuron = {"kind": "lif_hard_reset", "leak": 0.1}
    model = new_model(
        {
            "dt_us": 1000,
            "input_shape": [6],
            "layers": [
                {"connection": {"kind": "dense", "n_neurons": n}, "neuron": neuron}
                for n in (5, n_outputs)
            ],
            "decoder": {"kind": "linear", "tau_d": 3, "output_shape": [2]},
        },
        seed=3,
    )
    return model.with_weights(
        tuple(dataclasses.replace(layer, synapses=layer.synapses + 0.15) for layer in model.weights)
    )


def spikes(n_steps: int, n_lanes: int = 2, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (generator.random((n_steps, n_lanes, 6)) < 0.5).astype(np.uint8)


def engine_of(model: Model, learner: MembranePotentialLearner | None, **more: object) -> Engine:
    return Engine(
        model, None, n_streams=2, decode_every=0, backend="torch", learner=learner, **more
    )  # type: ignore[arg-type]


def run(engine: Engine, given: np.ndarray, restarts: bool = False) -> None:
    steps = input_steps(given, first_step=engine.step)
    list(engine.run(dataclasses.replace(steps, restarts=restarts)))


def test_an_engine_that_reconstructs_learns_what_the_rule_learns_step_by_step() -> None:
    """Oracle: Encoder.step and the rule in a plain loop."""
    model, given = model_of(), spikes(40)
    engine = engine_of(
        model, MembranePotentialLearner(model, n_lanes=2, reconstructs=True, settings=SETTINGS)
    )
    run(engine, given)
    rule = MembranePotentialRule(model.encoder, model.weights, n_lanes=2, settings=SETTINGS)
    state = model.encoder.initial_state(2)
    for step in torch.from_numpy(given).float():
        state = model.encoder.step(rule.weights, step, state, torch.zeros(2, dtype=torch.int64))
        rule.learn_step(step, state.layers, step)
    for ours, theirs in zip(engine.model.weights, rule.weights, strict=True):
        torch.testing.assert_close(ours.synapses, theirs.synapses, rtol=1e-4, atol=1e-5)


class FixedSpikes:
    """Targets that say the same at every step."""

    def __init__(self, target: np.ndarray) -> None:
        self.target = target

    def at(self, end_us: int) -> np.ndarray:
        del end_us
        return self.target


def test_target_spikes_from_outside_are_learned() -> None:
    """Law: the readout comes to spike where the targets say, and nowhere else."""
    model = model_of(n_outputs=4)
    target = np.array([[1, 0, 1, 0]] * 2, dtype=np.float32)
    learner = MembranePotentialLearner(model, n_lanes=2, settings=SETTINGS)
    engine = engine_of(model, learner, targets=FixedSpikes(target))
    run(engine, spikes(400))
    engine.learner = None
    trace = engine.backend.watch(input_steps(spikes(40, seed=5), first_step=400))
    rate = trace.spikes[-1].mean((0, 1))
    assert rate[[0, 2]].min() > 0.8
    assert rate[[1, 3]].max() < 0.1
    assert learner.n_steps == 400


def test_targets_that_are_no_spikes_are_an_error() -> None:
    model = model_of(n_outputs=4)
    half = FixedSpikes(np.full((2, 4), 0.5, dtype=np.float32))
    engine = engine_of(model, MembranePotentialLearner(model, n_lanes=2), targets=half)
    with pytest.raises(TargetError, match="0 or 1"):
        run(engine, spikes(1))


def test_an_autoencoder_must_have_as_many_readout_neurons_as_inputs() -> None:
    with pytest.raises(ConfigurationError, match="got 4 for 6"):
        MembranePotentialLearner(model_of(n_outputs=4), reconstructs=True)


@pytest.mark.parametrize("cut", [1, 17, 39])
def test_a_resumed_learner_goes_on_as_if_it_had_not_stopped(cut: int) -> None:
    """Law: run = save + load + run, to the bit."""
    given = spikes(40)

    def started() -> tuple[Engine, MembranePotentialLearner]:
        model = model_of()
        learner = MembranePotentialLearner(model, n_lanes=2, reconstructs=True, settings=SETTINGS)
        return engine_of(model, learner), learner

    whole, _ = started()
    run(whole, given)
    first, learner = started()
    run(first, given[:cut])
    saved = {name: tensor.clone() for name, tensor in learner.tensors().items()}
    second, resumed = started()
    resumed.load_tensors(saved)
    second.set_weights(first.model.weights)
    second.backend.restore(first.backend.state())
    second.step = cut
    run(second, given[cut:])
    for ours, theirs in zip(whole.model.weights, second.model.weights, strict=True):
        assert torch.equal(ours.synapses, theirs.synapses)


def test_a_restart_forgets_the_traces_and_keeps_the_weights() -> None:
    model = model_of()
    learner = MembranePotentialLearner(model, n_lanes=2, reconstructs=True, settings=SETTINGS)
    engine = engine_of(model, learner)
    run(engine, spikes(10))
    before = [layer.synapses.clone() for layer in engine.model.weights]
    learner.restart()
    assert all(
        torch.equal(a, b.synapses) for a, b in zip(before, engine.model.weights, strict=True)
    )
    ages = [value for name, value in learner.tensors().items() if name.endswith(".age")]
    assert all(bool((age == -1).all()) for age in ages)


def test_a_resumed_learner_has_forgotten_the_traces_of_before() -> None:
    model = model_of()
    learner = MembranePotentialLearner(model, n_lanes=2, reconstructs=True, settings=SETTINGS)
    run(engine_of(model, learner), spikes(10))
    learner.pause()
    learner.resume()
    ages = [value for name, value in learner.tensors().items() if name.endswith(".age")]
    assert all(bool((age == -1).all()) for age in ages)


def test_a_checkpoint_of_another_network_is_refused() -> None:
    saved = MembranePotentialLearner(model_of(), n_lanes=2).tensors()
    with pytest.raises(CheckpointError, match=r"weights\.1"):
        MembranePotentialLearner(model_of(n_outputs=4), n_lanes=2).load_tensors(saved)


def test_a_run_ten_times_longer_takes_no_more_memory() -> None:
    model = model_of()
    learner = MembranePotentialLearner(model, n_lanes=2, reconstructs=True, settings=SETTINGS)
    engine = engine_of(model, learner)
    run(engine, spikes(50))
    sizes = {name: tensor.numel() for name, tensor in learner.tensors().items()}
    tracemalloc.start()
    run(engine, spikes(50))
    short = tracemalloc.get_traced_memory()[1]
    for _ in range(10):
        run(engine, spikes(50))
    assert tracemalloc.get_traced_memory()[1] < 1.5 * short + 100_000
    tracemalloc.stop()
    assert {name: tensor.numel() for name, tensor in learner.tensors().items()} == sizes
