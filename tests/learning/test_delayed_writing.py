"""Compiled learning writes weights from the side of the spikes: those of the torch learner."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from streamvdib.engine import Engine
from streamvdib.input_steps import input_steps
from streamvdib.learning.delayed import DelayedLearner
from streamvdib.learning.learner_state import Settings
from streamvdib.learning.online import OnlineLearner
from streamvdib.learning.optimisers import SGD
from streamvdib.learning.rule import Rule
from streamvdib.model import Model
from tests.learning.networks import random_spikes, tiny_model

N_STEPS = 150  # more than an input's past goes back where it is two words long
EXPONENTIAL = {"kind": "exponential", "decay": 0.9}
COSINES = {"kind": "raised_cosines", "n_basis": 2}


class Targets:
    """The same image at every step."""

    def at(self, end_us: int) -> np.ndarray:
        return np.array([[[0.1, 0.9], [0.4, 0.0]]], np.float32)


def model(response: dict[str, Any], tau_e: int, n_inputs: int, n_readout: int) -> Model:
    """A hidden layer with the boxcar derivative, and a readout."""
    layers = [
        {
            "connection": {"kind": "dense", "n_neurons": n_neurons},
            "neuron": {
                "kind": "srm",
                "stochastic": is_readout,
                "surrogate": "boxcar",
                "response": response | {"tau_e": tau_e},
                "feedback": {**EXPONENTIAL, "tau_e": 4},
            },
        }
        for n_neurons, is_readout in ((6, False), (n_readout, True))
    ]
    return tiny_model(layers=layers, n_inputs=n_inputs, tau_d=4)


@pytest.mark.parametrize(
    ("response", "tau_e", "block", "n_inputs", "n_readout"),
    [
        pytest.param(EXPONENTIAL, 5, 16, 4, 3, id="more factors than tau_e"),
        pytest.param(EXPONENTIAL, 70, 7, 4, 3, id="pasts of two words"),
        pytest.param(COSINES, 70, 7, 4, 3, id="two basis functions"),
        pytest.param(EXPONENTIAL, 5, 4, 600, 3, id="more active inputs than a byte counts"),
        pytest.param(COSINES, 5, 4, 4, 1100, id="more neurons than are written at once"),
    ],
)
def test_weights_are_those_of_the_torch_learner(
    response: dict[str, Any], tau_e: int, block: int, n_inputs: int, n_readout: int
) -> None:
    rule = Rule("score", 0.1, feedback="random", credit="instantaneous")
    settings = Settings(rule, SGD(), SGD(), 0.2 / (n_inputs * n_readout), largest_norm=50.0)
    ours, theirs = (model(response, tau_e, n_inputs, n_readout) for _ in range(2))
    learner = DelayedLearner(ours, settings, block=block)
    before = theirs.weights[0].synapses.clone()
    engine = Engine(ours, None, backend="numba", dtype=torch.float64, learner=learner,
                    targets=Targets())  # fmt: skip
    oracle = Engine(theirs, None, backend="torch", dtype=torch.float64, targets=Targets(),
                    learner=OnlineLearner(theirs, settings))  # fmt: skip
    spikes = [run(engine, n_inputs), run(oracle, n_inputs)]
    np.testing.assert_array_equal(*spikes)
    assert 0 < spikes[0].mean() < 1
    learner.settle()
    names = engine.model.tensors()
    for name, tensor in oracle.model.tensors().items():
        torch.testing.assert_close(names[name], tensor, rtol=0, atol=2e-6, msg=name)
    assert (oracle.model.weights[0].synapses - before).abs().max() > 1e-4


def run(engine: Engine, n_inputs: int) -> np.ndarray:
    """Spikes of the readout over all steps."""
    seen: list[np.ndarray] = []
    engine.observers.append(lambda _, spikes: seen.append(spikes.copy()))
    rate = 0.4 if n_inputs < 100 else 0.9
    list(engine.run(input_steps(random_spikes(N_STEPS, 1, n_inputs, rate=rate).numpy())))
    return np.concatenate(seen)
