"""What every backend must hold: the reference's spikes, resumable bit for bit, lanes apart."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from streamvdib.backends import BACKENDS, Backend, make_backend
from streamvdib.connections import Convolution, Dense
from streamvdib.encoder import Encoder, EncoderState, Layer, Weights
from streamvdib.errors import ConfigurationError
from streamvdib.input_steps import InputSteps, input_steps
from streamvdib.neurons.lif_hard_reset import LIFHardReset
from streamvdib.neurons.neuron import Neuron
from streamvdib.neurons.srm import SRM
from streamvdib.responses import (
    cascaded_exponentials,
    exponential,
    exponential_sum,
    finite,
    raised_cosines,
)
from tests.backends.recorded_steps import RecordedSteps

HIDDEN = SRM(exponential(0.9, 20), exponential(0.8, 11))
READOUT = SRM(cascaded_exponentials(0.9, 0.5, 20), exponential(0.8, 11), stochastic=True)
AT_RANDOM = SRM(exponential(0.9, 20), exponential(0.8, 11), stochastic=True)
COSINES = SRM(raised_cosines(4, 10), raised_cosines(1, 7), stochastic=True)
SHORT = SRM(exponential(0.5, 1), finite([[1.0]]), stochastic=True)
SHAPE = (2, 6, 5)


def encoder(*layers: tuple[Dense | Convolution, Neuron]) -> Encoder:
    return Encoder(SHAPE, tuple(Layer(connection, neuron) for connection, neuron in layers))


ENCODERS = {
    "exponential": encoder((Dense(40), HIDDEN), (Dense(9), READOUT)),
    "layers that do not end with a word of 64": encoder(
        (Dense(90), HIDDEN), (Dense(300), AT_RANDOM), (Dense(130), HIDDEN), (Dense(90), HIDDEN)
    ),
    "stochastic readout of one exponential": encoder((Dense(100), AT_RANDOM)),
    "one layer of K basis functions": encoder((Dense(33), COSINES)),
    "mixed responses": encoder((Dense(150), HIDDEN), (Dense(9), COSINES)),
    "sum of exponentials": encoder(
        (Dense(7), SRM(exponential_sum([(1, 0.9), (-0.5, 0.2)], 6), finite([[1.0, 0.5]]))),
        (Dense(3), READOUT),
    ),
    "memory of one step": encoder((Dense(12), SHORT), (Dense(5), SHORT)),
    "convolutions": encoder(
        (Convolution(5, 3, 2, 1), HIDDEN), (Convolution(4, 2, 1, 0), COSINES), (Dense(9), COSINES)
    ),
    "convolutional readout": encoder((Convolution(3, 3, 1, 1), COSINES)),
    "hard reset": encoder((Convolution(3), LIFHardReset(0.2)), (Dense(20), LIFHardReset(0.0))),
}


COMPILES = pytest.param("torch-compile", marks=pytest.mark.slow)  # once per network and precision


@pytest.fixture(params=[COMPILES if name == "torch-compile" else name for name in sorted(BACKENDS)])
def backend_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=sorted(ENCODERS))
def case(request: pytest.FixtureRequest) -> tuple[Encoder, Weights]:
    chosen = ENCODERS[request.param]
    weights = chosen.initial_weights(torch.Generator().manual_seed(3))
    return chosen, tuple(replace(layer, synapses=2 * layer.synapses) for layer in weights)


def random_input(n_steps: int, n_lanes: int = 2, rate: float = 0.1) -> InputSteps:
    generator = np.random.default_rng(4)
    return input_steps(generator.random((n_steps, n_lanes, int(np.prod(SHAPE)))) < rate)


def start(
    name: str,
    case: tuple[Encoder, Weights],
    dtype: torch.dtype = torch.float64,
    n_lanes: int = 2,
) -> Backend:
    options: dict[str, Any] = {"n_lanes": n_lanes, "seed": 5, "dtype": dtype}
    if name == "cuda-graph":  # without a GPU the graph is a recording of the step's operations
        options |= {"device": "cpu", "recorder": RecordedSteps()}
    return make_backend(name, *case, **options)


def assert_states_equal(first: EncoderState, second: EncoderState, tolerance: float = 0.0) -> None:
    assert first.step == second.step
    for one, other in zip(first.layers, second.layers, strict=True):
        assert type(one) is type(other)
        for name, values in vars(one).items():
            torch.testing.assert_close(values, vars(other)[name], atol=tolerance, rtol=tolerance)


def test_every_layer_spikes_as_the_reference_in_float64(
    backend_name: str, case: tuple[Encoder, Weights]
) -> None:
    inputs = random_input(60)
    expected = start("torch", case).watch(inputs)
    seen = start(backend_name, case).watch(inputs)
    for mine, theirs in zip(seen.spikes, expected.spikes, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert mine.dtype == np.uint8
    for mine, theirs in zip(seen.potentials, expected.potentials, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-11)
    assert 0 < seen.spikes[0].mean() < 1


def test_float32_potentials_agree_until_the_first_different_spike(
    backend_name: str, case: tuple[Encoder, Weights]
) -> None:
    inputs = random_input(60)
    expected = start("torch", case, torch.float32).watch(inputs)
    seen = start(backend_name, case, torch.float32).watch(inputs)
    same = [
        (mine == theirs).all(axis=(1, 2))
        for mine, theirs in zip(seen.spikes, expected.spikes, strict=True)
    ]
    n_same = int(np.argmin(np.append(np.all(same, axis=0), False)))
    assert n_same >= 30
    for mine, theirs in zip(seen.potentials, expected.potentials, strict=True):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(mine[:n_same], theirs[:n_same], rtol=0, atol=2e-5 * scale)


def test_the_result_does_not_depend_on_how_steps_are_cut_into_chunks(
    backend_name: str, case: tuple[Encoder, Weights]
) -> None:
    inputs = random_input(50)
    whole = start(backend_name, case, torch.float32).advance(inputs)
    cut = start(backend_name, case, torch.float32)
    cuts = [0, 1, 2, 9, 9, 30, 50]
    parts = [cut.advance(inputs.part(first, last)) for first, last in itertools.pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("n_before", [0, 1, 19, 20, 33])
def test_a_run_equals_run_save_restore_run_bit_for_bit(
    backend_name: str, case: tuple[Encoder, Weights], n_before: int
) -> None:
    inputs = random_input(60)
    whole = start(backend_name, case, torch.float32).watch(inputs)
    first = start(backend_name, case, torch.float32)
    first.advance(inputs.part(0, n_before))
    second = start(backend_name, case, torch.float32)
    second.advance(inputs)
    second.restore(first.state())
    assert_states_equal(second.state(), first.state())
    rest = second.watch(inputs.part(n_before, 60))
    for mine, theirs in zip(rest.potentials, whole.potentials, strict=True):
        np.testing.assert_array_equal(mine, theirs[n_before:])


def test_a_state_of_the_reference_is_taken_and_given_back(
    backend_name: str, case: tuple[Encoder, Weights]
) -> None:
    inputs = random_input(40)
    reference, mine = start("torch", case), start(backend_name, case)
    reference.advance(inputs.part(0, 25))
    mine.restore(reference.state())
    assert_states_equal(mine.state(), reference.state())
    np.testing.assert_array_equal(
        mine.advance(inputs.part(25, 40)), reference.advance(inputs.part(25, 40))
    )
    assert_states_equal(mine.state(), reference.state(), tolerance=1e-11)


def test_a_state_is_a_copy(backend_name: str, case: tuple[Encoder, Weights]) -> None:
    backend = start(backend_name, case)
    before = backend.state()
    kept = before.layers[0].membrane_potential.clone()
    backend.advance(random_input(5))
    torch.testing.assert_close(before.layers[0].membrane_potential, kept)


def test_lanes_do_not_touch_each_other(backend_name: str, case: tuple[Encoder, Weights]) -> None:
    inputs = random_input(40)
    other = inputs.dense().copy()
    other[:, 1] = 0
    both = start(backend_name, case, torch.float32).watch(inputs)
    one_silent = start(backend_name, case, torch.float32).watch(input_steps(other))
    for mine, theirs in zip(both.potentials, one_silent.potentials, strict=True):
        np.testing.assert_array_equal(mine[:, 0], theirs[:, 0])


def test_silence_forgets_the_past_exactly_after_the_memory(backend_name: str) -> None:
    """A silent stream's potential is the bias alone once tau_e steps have passed."""
    silent_feedback = SRM(exponential(0.9, 20), finite([[0.0]]))
    chosen = encoder((Dense(40), silent_feedback))
    weights = chosen.initial_weights(torch.Generator().manual_seed(3))
    spikes = np.zeros((60, 1, chosen.n_inputs))
    spikes[:30] = random_input(30, 1).dense()
    backend = start(backend_name, (chosen, weights), torch.float32, n_lanes=1)
    potentials = backend.watch(input_steps(spikes)).potentials[0]
    bias = weights[0].bias.numpy()
    assert (potentials[48, 0] != bias).any()
    np.testing.assert_array_equal(potentials[49:, 0], np.broadcast_to(bias, (11, 40)))


def test_watching_and_advancing_give_the_same_spikes(
    backend_name: str, case: tuple[Encoder, Weights]
) -> None:
    inputs = random_input(30)
    advanced = start(backend_name, case).advance(inputs)
    watched = start(backend_name, case).watch(inputs)
    np.testing.assert_array_equal(advanced, watched.spikes[-1])
    assert watched.inputs is inputs


def test_no_steps_give_no_spikes(backend_name: str, case: tuple[Encoder, Weights]) -> None:
    backend = start(backend_name, case)
    assert backend.advance(random_input(3).part(1, 1)).shape == (0, 2, case[0].n_outputs)


def test_new_weights_count_from_the_next_step(
    backend_name: str, case: tuple[Encoder, Weights]
) -> None:
    _, weights = case
    inputs = random_input(40)
    zeros = tuple(replace(layer, synapses=torch.zeros_like(layer.synapses)) for layer in weights)
    backend, reference = start(backend_name, case), start("torch", case)
    for each in (backend, reference):
        each.advance(inputs.part(0, 20))
        each.set_weights(zeros)
    np.testing.assert_array_equal(
        backend.advance(inputs.part(20, 40)), reference.advance(inputs.part(20, 40))
    )


def test_a_backend_that_does_not_exist_is_named() -> None:
    chosen = ENCODERS["memory of one step"]
    weights = chosen.initial_weights(torch.Generator().manual_seed(3))
    with pytest.raises(ConfigurationError, match=r"must be one of auto, .*; got 'fpga'"):
        make_backend("fpga", chosen, weights, n_lanes=1, seed=0)
