"""The encoder: by hand, by law, and against a network written without rings or tensors."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamvdib.connections import Convolution, Dense
from streamvdib.encoder import Encoder, Layer, LayerWeights, Weights
from streamvdib.errors import GeometryError, ModelError
from streamvdib.neurons.srm import SRM
from streamvdib.randomness import draws, lane_keys
from streamvdib.responses import exponential
from tests.models import small_model


def double(weights: Weights) -> Weights:
    return tuple(
        LayerWeights(w.synapses.double(), w.feedback.double(), w.bias.double()) for w in weights
    )


def run(encoder: Encoder, weights: Weights, spikes: torch.Tensor, seed: int) -> list[torch.Tensor]:
    """Spikes of every layer, each (n_steps, n_lanes, n_neurons); input (n_steps, n_lanes, n)."""
    state = encoder.initial_state(spikes.shape[1], dtype=spikes.dtype)
    keys = lane_keys(seed, spikes.shape[1])
    steps = []
    for vector in spikes:
        state = encoder.step(weights, vector, state, keys)
        steps.append([layer.spikes for layer in state.layers])
    return [torch.stack(layer) for layer in zip(*steps, strict=True)]


def test_one_hidden_and_one_readout_neuron_by_hand() -> None:
    """Memory of one step: hidden spikes with its input; the readout fires if draw < sigma(w)."""
    one_step = exponential(0.5, 1)
    encoder = Encoder(
        (1,),
        (
            Layer(Dense(1), SRM(one_step, one_step)),
            Layer(Dense(1), SRM(one_step, one_step, stochastic=True)),
        ),
    )
    strength = 1.3
    weights = (
        LayerWeights(torch.ones(1, 1, 1), torch.zeros(1), torch.tensor([-0.5])),
        LayerWeights(torch.full((1, 1, 1), strength), torch.zeros(1), torch.zeros(1)),
    )
    inputs = torch.tensor([1.0, 0.0, 1.0, 1.0])[:, None, None]
    hidden, readout = run(encoder, weights, inputs, seed=5)
    assert hidden.flatten().tolist() == [1, 0, 1, 1]
    uniform = draws(lane_keys(5, 1), 0, 4, 1).flatten().tolist()
    sigma = [1 / (1 + math.exp(-strength * x)) for x in (1, 0, 1, 1)]
    assert readout.flatten().tolist() == [float(u < s) for u, s in zip(uniform, sigma, strict=True)]


@settings(max_examples=15)
@given(st.integers(0, 2**31), st.floats(0.02, 0.6))
def test_the_network_is_what_sums_over_all_past_spikes_give(seed: int, rate: float) -> None:
    """Oracle: potentials from eq. 15 written out with numpy over the whole history."""
    model = small_model(seed=seed % 17)
    weights = double(model.weights)
    spikes = (np.random.default_rng(seed).random((30, 24)) < rate).astype(float)
    hidden, readout = run(model.encoder, weights, torch.from_numpy(spikes)[:, None], seed)
    layer_input = spikes
    for index, actual in enumerate((hidden, readout)):
        neuron = model.encoder.layers[index].neuron
        assert isinstance(neuron, SRM)
        alpha, beta = np.array(neuron.response.kernels), np.array(neuron.feedback.kernels[0])
        w, fb, b = (t.numpy() for _, t in weights[index].tensors())
        past = np.zeros((0, w.shape[2]))
        for t in range(len(layer_input)):
            u = b.copy()
            for lag in range(min(t + 1, alpha.shape[1])):
                for k in range(len(alpha)):
                    u += alpha[k, lag] * (layer_input[t - lag] @ w[k])
            for lag in range(min(t, len(beta))):
                u += fb * beta[lag] * past[t - 1 - lag]
            if neuron.stochastic:
                uniform = draws(lane_keys(seed, 1), t, 1, len(u))[0, 0].numpy()
                z = (uniform < 1 / (1 + np.exp(-u))).astype(float)
            else:
                z = (u >= 0).astype(float)
            past = np.concatenate((past, z[None]))
        np.testing.assert_array_equal(actual[:, 0].numpy(), past)
        layer_input = past


def test_lanes_do_not_feel_each_other() -> None:
    model = small_model()
    spikes = (torch.rand(20, 3, 24, generator=torch.Generator().manual_seed(0)) < 0.2).float()
    together = run(model.encoder, model.weights, spikes, seed=1)[1]
    other = spikes.clone()
    other[:, 2] = 1 - other[:, 2]
    changed = run(model.encoder, model.weights, other, seed=1)[1]
    assert torch.equal(together[:, :2], changed[:, :2])
    assert not torch.equal(together[:, 2], changed[:, 2])


def test_a_convolutional_layer_fits_another_sensor_size_with_the_same_weights() -> None:
    neuron = SRM(exponential(0.5, 3), exponential(0.5, 3))
    layers = (Layer(Convolution(3, kernel=3, stride=2), neuron),)
    small, large = Encoder((2, 8, 8), layers), Encoder((2, 20, 12), layers)
    weights = small.initial_weights(torch.Generator().manual_seed(0))
    large.check_weights(weights)
    assert large.layer_shapes == ((3, 10, 6),)
    shifted = torch.zeros(1, 1, 2, 20, 12)
    shifted[0, 0, 1, 8, 6] = 1
    centred = torch.zeros(1, 1, 2, 8, 8)
    centred[0, 0, 1, 4, 4] = 1
    one = run(large, weights, shifted.flatten(2), 0)[0].view(3, 10, 6)[:, 3:6, 2:5]
    two = run(small, weights, centred.flatten(2), 0)[0].view(3, 4, 4)[:, 1:4, 1:4]
    assert torch.equal(one, two)


def test_a_network_whose_layers_do_not_fit_is_refused() -> None:
    neuron = SRM(exponential(0.5, 3), exponential(0.5, 3))
    with pytest.raises(GeometryError, match="Put convolutional layers before dense ones"):
        Encoder((1, 4, 4), (Layer(Dense(5), neuron), Layer(Convolution(2), neuron)))
    with pytest.raises(ModelError, match="at least the readout layer"):
        Encoder((1, 4, 4), ())


def test_weights_of_another_shape_are_refused_by_name() -> None:
    model = small_model()
    first = model.weights[0]
    bad = (LayerWeights(first.synapses[:, :5], first.feedback, first.bias), model.weights[1])
    with pytest.raises(ModelError, match=r"synapses of layer 0 must have shape \(1, 24, 9\)"):
        model.encoder.check_weights(bad)
