"""The vectorised sequence against the encoder's own steps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamvdib import randomness
from streamvdib.encoder import LayerWeights
from streamvdib.learning.decoder_signal import windows_at
from streamvdib.learning.eprop import backward_filtered, layer_gradient
from streamvdib.learning.fast_draws import draws
from streamvdib.learning.few_spikes import are_few, current_of_few, gradient_of_few
from streamvdib.learning.filters import response_matrices
from streamvdib.learning.sequence import LayerSequence, run_sequence, synaptic_drive
from streamvdib.model import Model
from streamvdib.randomness import lane_keys
from streamvdib.responses import exponential
from tests.learning.networks import dense, random_spikes, tiny_model

CONVOLUTION = {
    "connection": {"kind": "convolution", "channels": 3, "kernel": 3, "stride": 2},
    "neuron": dense(1)["neuron"],
}


def stepped(model: Model, inputs: torch.Tensor, keys: torch.Tensor, first_step: int):
    state = model.encoder.initial_state(inputs.shape[1], dtype=inputs.dtype)
    state = type(state)(first_step, state.layers)
    layers = []
    for spikes in inputs:
        state = model.encoder.step(model.weights, spikes, state, keys)
        layers.append(state.layers)
    return layers


def assert_same(model: Model, inputs: torch.Tensor, seed: int, first_step: int) -> None:
    keys = lane_keys(seed, inputs.shape[1])
    sequences = run_sequence(model.encoder, model.weights, inputs, keys, first_step)
    for step, layers in enumerate(stepped(model, inputs, keys, first_step)):
        for sequence, state in zip(sequences, layers, strict=True):
            torch.testing.assert_close(sequence.spikes[step], state.spikes, rtol=0, atol=0)
            torch.testing.assert_close(sequence.potentials[step], state.membrane_potential)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    hidden=st.lists(st.integers(1, 5), max_size=2),
    n_steps=st.integers(1, 9),
    first_step=st.integers(0, 10_000),
)
def test_a_sequence_gives_the_spikes_of_the_encoders_steps(
    seed: int, hidden: list[int], n_steps: int, first_step: int
) -> None:
    model = tiny_model(tuple(hidden), seed=seed)
    assert_same(model, random_spikes(n_steps, 2, 4, seed=seed), seed, first_step)


def test_convolutional_layers_give_the_spikes_of_the_encoders_steps() -> None:
    layers = [CONVOLUTION, dense(3, stochastic=True)]
    model = tiny_model(layers=layers, input_shape=[2, 6, 6])
    assert_same(model, random_spikes(7, 2, 72), 3, 0)


def test_compiled_draws_are_the_librarys_draws() -> None:
    keys = lane_keys(7, 3)
    expected = randomness.draws(keys, 123_456, 5, 11)
    torch.testing.assert_close(draws(keys, 123_456, 5, 11), expected, rtol=0, atol=0)


def test_a_response_matrix_by_hand() -> None:
    """alpha = (1, 1/2): x_t + x_{t-1} / 2; delayed by one step: x_{t-1} + x_{t-2} / 2."""
    plain = response_matrices(exponential(0.5, 2), 3, 0, torch.float64, torch.device("cpu"))
    assert plain[0].tolist() == [[1, 0, 0], [0.5, 1, 0], [0, 0.5, 1]]
    delayed = response_matrices(exponential(0.5, 2), 3, 1, torch.float64, torch.device("cpu"))
    assert delayed[0].tolist() == [[0, 0, 0], [1, 0, 0], [0.5, 1, 0]]


def test_other_neurons_are_refused_by_name() -> None:
    from streamvdib.errors import ConfigurationError

    layers = [
        {"connection": {"kind": "dense", "n_neurons": 2}, "neuron": {"kind": "lif-hard-reset"}}
    ]
    from streamvdib.neurons import NEURONS

    if "lif-hard-reset" not in NEURONS:
        pytest.skip("this build has no other neuron than the SRM")
    model = tiny_model(layers=layers)
    with pytest.raises(ConfigurationError, match="srm"):
        run_sequence(model.encoder, model.weights, random_spikes(2, 1, 4), lane_keys(0, 1))


def test_windows_by_hand() -> None:
    """Steps 1, 2, 3, 4: the windows of three that end with the second and the fourth."""
    steps = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(4, 1, 1)
    found = windows_at(steps, [1, 3], 3)
    assert found.shape == (2, 3, 1)
    assert found[:, :, 0].tolist() == [[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]]


def test_windows_keep_lanes_together() -> None:
    """Decode first, then lane: row 2 is the first lane of the second decode."""
    steps = torch.arange(12.0).view(3, 2, 2)  # (steps, lanes, neurons)
    found = windows_at(steps, [0, 2], 2)
    assert found[2].tolist() == [[4.0, 5.0], [8.0, 9.0]]


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), n_rows=st.integers(1, 30), n_inputs=st.integers(1, 70))
def test_products_with_few_spikes_are_the_dense_products(
    seed: int, n_rows: int, n_inputs: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    spikes = (torch.rand(n_rows, n_inputs, generator=generator) < 0.02).float()
    weights = torch.randn(n_inputs, 5, generator=generator)
    signal = torch.randn(n_rows, 5, generator=generator)
    torch.testing.assert_close(current_of_few(spikes, weights), spikes @ weights)
    torch.testing.assert_close(gradient_of_few(spikes, signal), spikes.T @ signal)


def test_spikes_are_few_at_one_in_fifty_in_float32() -> None:
    spikes = torch.zeros(10, 10)
    spikes[0, :2] = 1.0
    assert are_few(spikes)
    assert not are_few(spikes.double())
    assert not are_few(spikes.to("meta"))
    spikes[0, 2] = 1.0
    assert not are_few(spikes)


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_few_spikes_drive_and_teach_a_layer_as_the_dense_product_does(share: float) -> None:
    """In float64 the dense product is taken; its results are those of float32 with few spikes."""
    model = tiny_model((6,), n_inputs=60, seed=3)
    layer, weights = model.encoder.layers[0], model.weights[0]
    generator = torch.Generator().manual_seed(5)
    inputs = (torch.rand(9, 2, 60, generator=generator) < share).double()
    signal = torch.randn(9, 2, 6, generator=generator, dtype=torch.float64)
    found = []
    for dtype in (torch.float64, torch.float32):
        own = LayerWeights(*(tensor.to(dtype) for _, tensor in weights.tensors()))
        x, delta = inputs.to(dtype), signal.to(dtype)
        assert are_few(x) == (dtype == torch.float32)
        drive = synaptic_drive(layer, own, x, (60,))
        sequence = LayerSequence(x, torch.zeros_like(drive), drive)
        filtered = backward_filtered(layer, delta)
        gradient = layer_gradient(layer, own, sequence, delta, filtered, (60,))
        found.append((drive.double(), gradient.synapses.double()))
    for expected, few in zip(*found, strict=True):
        torch.testing.assert_close(few, expected, rtol=1e-5, atol=1e-6)
