"""A long chunk, or many lanes, pass through scratch arrays of bounded size piece by piece."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from streamvdib.backends import make_backend, numba_backend
from streamvdib.connections import Dense
from streamvdib.encoder import Encoder, Layer
from streamvdib.input_steps import input_steps
from streamvdib.neurons.srm import SRM
from streamvdib.responses import exponential

N_STEPS, N_LANES, N_INPUTS = 24, 5, 60


@pytest.mark.parametrize("n_together", [1, 2, 3, 24])
@pytest.mark.parametrize("n_spikes", [1, 300, 1000])
def test_spikes_do_not_depend_on_how_much_fits_the_scratch_arrays(
    monkeypatch: pytest.MonkeyPatch, n_spikes: int, n_together: int
) -> None:
    neuron = SRM(exponential(0.9, 7), exponential(0.8, 5))
    sizes = [(90, neuron), (40, neuron), (33, replace(neuron, stochastic=True))]
    encoder = Encoder((N_INPUTS,), tuple(Layer(Dense(size), kind) for size, kind in sizes))
    initial = encoder.initial_weights(torch.Generator().manual_seed(0))
    weights = tuple(replace(layer, synapses=3 * layer.synapses) for layer in initial)
    dense = np.random.default_rng(1).random((N_STEPS, N_LANES, N_INPUTS)) < 0.2
    inputs = input_steps(dense)
    whole = make_backend("numba", encoder, weights, n_lanes=N_LANES, seed=0).advance(inputs)
    monkeypatch.setattr(numba_backend, "SCRATCH_SPIKES", n_spikes)
    backend = make_backend("numba", encoder, weights, n_lanes=N_LANES, seed=0)
    cuts = range(0, N_STEPS, n_together)
    parts = [backend.advance(inputs.part(cut, cut + n_together)) for cut in cuts]
    assert 0.1 < whole.mean() < 0.9
    np.testing.assert_array_equal(np.concatenate(parts), whole)
