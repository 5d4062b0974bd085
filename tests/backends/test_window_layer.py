"""The event-driven decoder gives what the torch decoder gives, wherever its ring stands."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from streamvdib.backends.window_layer import WindowDecoding, can_decode
from streamvdib.decoding import TorchDecoding, make_decoding
from streamvdib.endurance.wandering_learner import ConstantTargets
from streamvdib.endurance.workload import packet, small_engine
from streamvdib.learning.build import make_learner
from streamvdib.model import Model, new_model
from streamvdib.spike_window import SpikeWindow

N_NEURONS, TAU_D = 21, 5


def model(
    kind: str,
    view: str = "window",
    likelihood: str = "bernoulli",
    *,
    n_neurons: int = N_NEURONS,
    n_hidden: int = 13,
) -> Model:
    response = {"kind": "exponential", "decay": 0.5, "tau_e": 3}
    neuron = {"kind": "srm", "response": response, "feedback": response, "stochastic": True}
    layer = {"connection": {"kind": "dense", "n_neurons": n_neurons}, "neuron": neuron}
    options = {"n_hidden": n_hidden} if kind == "mlp" else {}
    return new_model(
        {
            "dt_us": 1000,
            "input_shape": [4],
            "layers": [layer],
            "decoder": {
                "kind": kind,
                "tau_d": TAU_D,
                "output_shape": [3, 5],
                "view": view,
                "likelihood": {"name": likelihood},
                **options,
            },
        }
    )


def filled(n_pushed: int, rate: float = 0.3, n_lanes: int = 2) -> SpikeWindow:
    window = SpikeWindow(TAU_D, n_lanes, N_NEURONS)
    spikes = np.random.default_rng(1).random((n_pushed, n_lanes, N_NEURONS)) < rate
    window.push(spikes.astype(np.uint8))
    return window


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("view", ["window", "rate"])
@pytest.mark.parametrize("n_pushed", [0, 1, 5, 7])
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_frames_equal_those_of_torch(kind: str, view: str, n_pushed: int, rate: float) -> None:
    chosen, window = model(kind, view, "gaussian"), filled(n_pushed, rate)
    frames = WindowDecoding(chosen, window)()
    expected = TorchDecoding(chosen, window)()
    assert frames.shape == (2, 3, 5)
    np.testing.assert_allclose(frames, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("view", ["window", "rate"])
@pytest.mark.parametrize("rate", [0.05, 0.5, 1.0])
def test_a_frame_is_the_same_beside_those_of_other_lanes(kind: str, view: str, rate: float) -> None:
    """Bit for bit: many lanes are worked on in blocks of 64, which these layers do not fill."""
    chosen = model(kind, view, "gaussian", n_neurons=70, n_hidden=131)
    spikes = np.random.default_rng(2).random((7, 9, 70)) < rate
    windows = [SpikeWindow(TAU_D, n_lanes, 70) for n_lanes in [9] + [1] * 9]
    windows[0].push(spikes.astype(np.uint8))
    frames = WindowDecoding(chosen, windows[0])()
    for lane, window in enumerate(windows[1:]):
        window.push(spikes[:, lane : lane + 1].astype(np.uint8))
        np.testing.assert_array_equal(frames[lane], WindowDecoding(chosen, window)()[0])
    expected = TorchDecoding(chosen, windows[0])()
    np.testing.assert_allclose(frames, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_by_hand_a_spike_adds_the_weights_of_its_age() -> None:
    """The newest step is the last row of the window: inputs 4 * 21 to 5 * 21 of the layer."""
    chosen, window = model("linear", likelihood="gaussian"), SpikeWindow(TAU_D, 1, N_NEURONS)
    spikes = np.zeros((1, 1, N_NEURONS), np.uint8)
    spikes[0, 0, 2] = 1
    window.push(spikes)
    layer = chosen.decoder.first
    assert isinstance(layer, torch.nn.Linear)
    expected = layer.weight[:, 4 * N_NEURONS + 2] + layer.bias
    frame = WindowDecoding(chosen, window)()
    np.testing.assert_allclose(frame.ravel(), expected.detach().numpy(), rtol=1e-6)


def test_changed_weights_count_from_the_next_frame() -> None:
    chosen, window = model("mlp"), filled(7)
    decoding = WindowDecoding(chosen, window)
    before = decoding()
    with torch.no_grad():
        for parameter in chosen.decoder.parameters():
            parameter.add_(0.1)
    after = decoding()
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_allclose(after, TorchDecoding(chosen, window)(), atol=1e-5)


@pytest.mark.parametrize("tells", ["the engine", "torch"])
def test_what_a_learner_writes_into_the_decoder_counts_from_the_next_frame(tells: str) -> None:
    """The learners write into the weights' memory, which torch does not see by itself."""
    engine = small_engine(backend="torch")
    engine.learner = make_learner(engine.model, update_every=1, learning_rate=0.1)
    engine.targets = ConstantTargets()
    decoding = WindowDecoding(engine.model, engine.window)
    before = decoding()
    for index in range(3):
        engine.advance(packet(0, index))
    ours = engine.decode().pixels if tells == "the engine" else decoding()
    np.testing.assert_allclose(
        ours, TorchDecoding(engine.model, engine.window)(), rtol=0, atol=1e-5
    )
    assert np.abs(ours - before).max() > 0.01


def test_a_writer_whom_nobody_knows_is_told_of() -> None:
    chosen, window = model("mlp"), filled(7)
    decoding = WindowDecoding(chosen, window)
    decoding()
    for parameter in chosen.decoder.parameters():
        parameter.detach().numpy()[:] += 0.1
    decoding.weights_changed()
    np.testing.assert_allclose(decoding(), TorchDecoding(chosen, window)(), atol=1e-5)


def test_a_frame_is_not_overwritten_by_the_next() -> None:
    chosen, window = model("linear", likelihood="gaussian"), filled(7)
    decoding = WindowDecoding(chosen, window)
    first = decoding()
    kept = first.copy()
    window.clear()
    decoding()
    np.testing.assert_array_equal(first, kept)


def test_other_decoders_are_left_to_torch() -> None:
    recurrent = model("recurrent")
    assert not can_decode(recurrent)
    assert isinstance(make_decoding(recurrent, filled(0)), TorchDecoding)
    assert isinstance(make_decoding(model("mlp"), filled(0)), WindowDecoding)
