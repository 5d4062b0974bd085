"""What the benchmark of learning compares does the same work."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from streamvdib.commands.bench_eager import EagerEprop
from streamvdib.commands.bench_learning import BETA, PRIOR_RATE, image, learner_of
from streamvdib.commands.bench_scenarios import model
from streamvdib.engine import Engine
from streamvdib.input_steps import input_steps
from streamvdib.randomness import draws, lane_keys
from tests.learning.networks import cast

N_STEPS, RATE = 70, 0.01


@pytest.mark.parametrize("sizes", [[4], [9, 4]])
def test_eager_torch_and_our_loops_make_the_same_spikes_and_weights(sizes: list[int]) -> None:
    """In float64, with the same draws: the baseline is e-prop, and ours no approximation of it."""
    built = cast(model(sizes, side=6), torch.float64)
    spikes = np.random.default_rng(1).random((N_STEPS, 36)) < 0.2
    learner = learner_of(built)
    learner.learning_rate = RATE
    engine = Engine(built, None, backend="numba", dtype=torch.float64, learner=learner)
    keys = lane_keys(0, 1)
    chunk = input_steps(spikes[:, None])
    ours = [engine.backend.watch(chunk.part(0, 1)).spikes[-1]]
    engine.window.push(ours[0])
    learner.learn(engine.window, image(built).at(0), 0)  # its loss holds from now on
    eager = EagerEprop(
        built,
        {name: matrix.double() for name, matrix in learner.feedback.items()},
        lambda step: draws(keys, step, 1, sizes[-1])[0, 0],
        n_credited=built.tau_d,
        learning_rate=RATE,
        beta=BETA,
        prior_rate=PRIOR_RATE,
        loss=learner.metrics()["decoder_nats"],
    )
    theirs = [eager(torch.from_numpy(row.astype(np.float64))).numpy() for row in spikes]
    ours.append(engine.backend.watch(chunk.part(1, N_STEPS)).spikes[-1])
    learner.settle()
    np.testing.assert_array_equal(np.concatenate(ours)[:, 0], np.array(theirs))
    for mine, other, first in zip(
        engine.model.weights, eager.layers, model(sizes, side=6).weights, strict=True
    ):
        torch.testing.assert_close(mine.synapses[0], other.synapses, rtol=0, atol=1e-10)
        torch.testing.assert_close(mine.bias, other.bias, rtol=0, atol=1e-10)
        assert (mine.synapses - first.synapses).abs().max() > 1e-4
