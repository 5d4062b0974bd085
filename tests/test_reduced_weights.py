"""Rounded weights: the numbers, their bound, and the same spikes from narrow rows."""

from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from streamvdib.backends import make_backend
from streamvdib.backends.numba_plan import WEIGHTS
from streamvdib.engine import Engine
from streamvdib.engine_description import describe_engine, make_described
from streamvdib.errors import CheckpointError, ConfigurationError, ModelError
from streamvdib.input_steps import input_steps
from streamvdib.learning.build import make_learner
from streamvdib.model import Model, load_model, new_model, save_model
from streamvdib.reduced_weights import int8_scales, rounded, with_reduced_weights

NARROW = ["bf16", "int8"]
EXPONENTIAL = {"kind": "exponential", "decay": 0.8, "tau_e": 12}
COSINES = {"kind": "raised_cosines", "tau_e": 12, "n_basis": 3}
SYNAPSES = arrays(
    np.float32,
    st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 5)),
    elements=st.floats(-1e6, 1e6, width=32).filter(lambda w: w == 0 or abs(w) > 1e-25),
)


def two_layers(response: dict[str, object] = EXPONENTIAL) -> Model:
    """50 -> 40 -> 33 neurons that fire often enough; neither width fills a vector."""
    layers = [
        {
            "connection": {"kind": "dense", "n_neurons": n},
            "neuron": {
                "kind": "srm",
                "response": response,
                "feedback": EXPONENTIAL,
                "stochastic": n == 33,
            },
        }
        for n in (40, 33)
    ]
    decoder = {"kind": "linear", "tau_d": 4, "output_shape": [2, 2]}
    table = {"dt_us": 1000, "input_shape": [50], "layers": layers, "decoder": decoder}
    model = new_model(table, seed=3)
    return model.with_weights(
        tuple(replace(layer, synapses=3 * layer.synapses) for layer in model.weights)
    )


def test_bf16_by_hand() -> None:
    """1 + 2^-8 lies between 1 and 1 + 2^-7: a tie goes to the even one; above it, up."""
    tie = torch.tensor([[[1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -0.3]]])
    expected = torch.tensor([[[1.0, 1 + 2**-6, 1 + 2**-7, -0.30078125]]])
    assert torch.equal(rounded(tie, "bf16"), expected)


def test_int8_by_hand_has_one_scale_per_neuron() -> None:
    """Largest weights 127 and 0.254: steps of 1 and of about 0.002; 0.5 and 2.5 are ties."""
    synapses = torch.tensor([[[127.0, 0.254], [-3.4, -0.1], [0.5, 0.0], [2.5, 0.003]]])
    result = rounded(synapses, "int8")
    assert result[0, :, 0].tolist() == [127.0, -3.0, 0.0, 2.0]
    steps = result[0, :, 1] / int8_scales(synapses)[0, 0, 1]
    assert steps.tolist() == [127.0, -50.0, 0.0, 1.0]


def test_a_convolution_has_one_scale_per_channel() -> None:
    synapses = torch.tensor([127.0, 1.4, 0.127, 0.0014]).reshape(1, 2, 1, 1, 2)
    result = rounded(synapses, "int8").flatten().tolist()
    assert result == pytest.approx([127.0, 1.0, 0.127, 0.001], rel=1e-4)


def test_no_weight_at_all_stays_none() -> None:
    zeros = torch.zeros(1, 3, 2)
    assert all(torch.equal(rounded(zeros, kind), zeros) for kind in NARROW)


@given(SYNAPSES)
@settings(max_examples=200)
def test_the_error_stays_below_its_bound(values: np.ndarray) -> None:
    synapses = torch.from_numpy(values)
    exact = synapses.double()
    error = (rounded(synapses, "bf16").double() - exact).abs()
    assert bool((error <= exact.abs() * 2**-8).all())
    largest = exact.abs().amax(1, keepdim=True)
    step = largest / 127 * (1 + 2**-15) + 2.0**-100
    error = (rounded(synapses, "int8").double() - exact).abs()
    assert bool((error <= step / 2 * (1 + 1e-6)).all())


@given(SYNAPSES, st.sampled_from(NARROW))
@settings(max_examples=100)
def test_rounding_twice_is_rounding_once(values: np.ndarray, kind: str) -> None:
    once = rounded(torch.from_numpy(values), kind)
    assert torch.equal(rounded(once, kind), once)


@pytest.mark.parametrize("kind", NARROW)
@pytest.mark.parametrize("response", [EXPONENTIAL, COSINES])
def test_narrow_rows_give_what_wide_rows_of_the_same_weights_give(
    kind: str, response: dict[str, object]
) -> None:
    """Spikes and potentials of every layer, bit for bit; and the rows are narrow."""
    narrow = with_reduced_weights(two_layers(response), kind)
    wide = replace(narrow.encoder, weight_type="float32")
    spikes = np.random.default_rng(0).random((80, 2, 50)) < 0.3
    backends = [
        make_backend("numba", encoder, narrow.weights, n_lanes=2, seed=1)
        for encoder in (narrow.encoder, wide)
    ]
    traces = [backend.watch(input_steps(spikes)) for backend in backends]
    sizes = [backend.layout.constants.shapes[0, WEIGHTS][1] for backend in backends]
    assert sizes[0][2] * (2 if kind == "bf16" else 4) == sizes[1][2]
    for ours, theirs in zip(traces[0].spikes, traces[1].spikes, strict=True):
        assert 0.01 < ours.mean() < 0.99
        np.testing.assert_array_equal(ours, theirs)
    for mine, other in zip(traces[0].potentials, traces[1].potentials, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("kind", NARROW)
def test_float64_and_torch_give_the_same_spikes(kind: str) -> None:
    model = with_reduced_weights(two_layers(), kind)
    inputs = input_steps(np.random.default_rng(0).random((60, 1, 50)) < 0.3)
    results = [
        make_backend(
            name, model.encoder, model.weights, n_lanes=1, seed=1, dtype=torch.float64
        ).advance(inputs)
        for name in ("numba", "torch")
    ]
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("kind", NARROW)
def test_a_file_keeps_rounded_weights_exactly(tmp_path: Path, kind: str, half: bool) -> None:
    model, path = with_reduced_weights(two_layers(), kind), tmp_path / "m.safetensors"
    save_model(model, path, half=half)
    loaded = load_model(path)
    assert loaded.encoder.weight_type == kind
    for mine, other in zip(model.weights, loaded.weights, strict=True):
        assert torch.equal(mine.synapses, other.synapses)


def test_a_state_is_refused_where_weights_have_another_type() -> None:
    model = two_layers()
    state = Engine(with_reduced_weights(model, "int8"), None).snapshot()
    Engine(with_reduced_weights(model, "int8"), None).restore(state)
    for other in ("float32", "bf16"):
        with pytest.raises(CheckpointError, match="description differ"):
            Engine(with_reduced_weights(model, other), None).restore(state)


def test_a_log_makes_an_engine_with_the_same_type() -> None:
    engine = Engine(with_reduced_weights(two_layers(), "bf16"), None)
    again = make_described(describe_engine(engine))
    assert again.model.encoder.weight_type == "bf16"
    again.restore(engine.snapshot())


def test_a_rounded_model_neither_learns_nor_takes_other_weights() -> None:
    model = two_layers()
    narrow = with_reduced_weights(model, "int8")
    with pytest.raises(ConfigurationError, match="learning requires float32 weights"):
        make_learner(narrow)
    with pytest.raises(ModelError, match="synapses of layer 0 must be rounded to int8"):
        Engine(narrow, None).set_weights(model.weights)
    with pytest.raises(ConfigurationError, match="rounded to int8 and bf16 was asked for"):
        with_reduced_weights(narrow, "bf16")
    with pytest.raises(ConfigurationError, match=r"must be one of float32.*got 'int4'"):
        with_reduced_weights(model, "int4")
