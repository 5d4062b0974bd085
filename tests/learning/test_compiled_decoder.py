"""The decoder's updates without torch are those of torch, and the next frame comes from them."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from streamvdib.backends.window_layer import WindowDecoding
from streamvdib.decoding import TorchDecoding
from streamvdib.learning.compiled_decoder import CompiledDecoderStep, can_step
from streamvdib.learning.decoder_step import DecoderStep
from streamvdib.learning.optimisers import SGD, Adam
from streamvdib.model import Model
from streamvdib.spike_window import SpikeWindow
from tests.learning.networks import tiny_model

N_NEURONS, TAU_D = 7, 4
TARGETS = {
    "bernoulli": np.array([[[0.1, 0.9], [0.4, 0.0]]], np.float32),
    "gaussian": np.array([[[0.1, -0.9], [0.4, 2.0]]], np.float32),
    "categorical": np.array([[0.0, 0.75, 0.25, 0.0]], np.float32),
}


def model(kind: str, view: str, likelihood: str) -> Model:
    decoder: dict[str, Any] = {"kind": kind, "view": view, "likelihood": {"name": likelihood}}
    if kind == "mlp":
        decoder["n_hidden"] = 6
    if likelihood == "categorical":
        decoder["output_shape"] = [4]
    return tiny_model((), N_NEURONS, tau_d=TAU_D, decoder=decoder)


def window(n_pushed: int = 6) -> SpikeWindow:
    made = SpikeWindow(TAU_D, 1, N_NEURONS)
    spikes = np.random.default_rng(2).random((n_pushed, 1, N_NEURONS)) < 0.4
    made.push(spikes.astype(np.uint8))
    return made


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("view", ["window", "rate"])
@pytest.mark.parametrize("likelihood", list(TARGETS))
def test_updates_are_those_of_torch(kind: str, view: str, likelihood: str) -> None:
    ours = model(kind, view, likelihood)
    theirs = replace(ours, decoder=copy.deepcopy(ours.decoder))
    step, oracle = CompiledDecoderStep(ours), DecoderStep(theirs, SGD())
    seen, target = window(), TARGETS[likelihood]
    for n_more in (0, 1, 4):
        seen.push(window().ring[:n_more])
        found, expected = step.loss(seen, target), oracle.loss(seen, target)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        step.update(0.001)
        oracle.update(0.001)
        for name, tensor in theirs.decoder.state_dict().items():
            torch.testing.assert_close(
                ours.decoder.state_dict()[name], tensor, rtol=0, atol=1e-12, msg=name
            )


def test_by_hand_a_linear_decoder_moves_the_row_of_its_one_spike() -> None:
    """Zero weights: a = 0, sigma(a) = 1/2, so W and b move by eta (r - 1/2) where it spiked."""
    chosen = model("linear", "window", "bernoulli")
    for parameter in chosen.decoder.parameters():
        parameter.data.zero_()
    seen, spikes = SpikeWindow(TAU_D, 1, N_NEURONS), np.zeros((1, 1, N_NEURONS), np.uint8)
    spikes[0, 0, 2] = 1
    seen.push(spikes)
    step = CompiledDecoderStep(chosen)
    loss, square = step.loss(seen, TARGETS["bernoulli"])
    step.update(0.5)
    moved = torch.tensor([0.1, 0.9, 0.4, 0.0], dtype=torch.float64) - 0.5
    expected = torch.zeros(4, TAU_D * N_NEURONS, dtype=torch.float64)
    expected[:, 3 * N_NEURONS + 2] = 0.5 * moved
    state = chosen.decoder.state_dict()
    torch.testing.assert_close(state["first.weight"], expected, rtol=0, atol=1e-7)
    torch.testing.assert_close(state["first.bias"], 0.5 * moved, rtol=0, atol=1e-7)
    assert loss == pytest.approx(4 * np.log(2))
    assert square == pytest.approx(2 * float((moved**2).sum()))


def test_the_next_frame_comes_from_the_updated_weights() -> None:
    """Whoever made the frame before: torch, or a decoding that shares its work with the update."""
    chosen, seen = model("mlp", "window", "bernoulli"), window()
    other = WindowDecoding(chosen, seen)  # before the weights lie in rows
    step, decoding = CompiledDecoderStep(chosen), WindowDecoding(chosen, seen)
    step.share(decoding)
    before = decoding(), other()
    for _ in range(2):
        step.loss(seen, TARGETS["bernoulli"])
        step.update(0.5)
        expected = TorchDecoding(chosen, seen)()
        for made, frame in zip((decoding, other), before, strict=True):
            np.testing.assert_allclose(made(), expected, rtol=0, atol=1e-6)
            assert np.abs(frame - expected).max() > 0.01


def test_weights_that_are_loaded_count_from_the_next_frame_and_update() -> None:
    chosen, seen = model("mlp", "window", "bernoulli"), window()
    step, decoding = CompiledDecoderStep(chosen), WindowDecoding(chosen, seen)
    step.share(decoding)
    decoding()
    other = model("mlp", "window", "bernoulli").decoder
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(2)
    chosen.decoder.load_state_dict(other.state_dict())
    np.testing.assert_allclose(decoding(), TorchDecoding(chosen, seen)(), rtol=0, atol=1e-6)
    theirs = replace(chosen, decoder=copy.deepcopy(chosen.decoder))
    oracle = DecoderStep(theirs, SGD())
    assert step.loss(seen, TARGETS["bernoulli"]) == pytest.approx(
        oracle.loss(seen, TARGETS["bernoulli"]), rel=1e-12
    )


def test_momentum_and_adam_are_left_to_torch() -> None:
    chosen = model("mlp", "window", "bernoulli")
    assert can_step(chosen, SGD())
    assert not can_step(chosen, SGD(momentum=0.9))
    assert not can_step(chosen, Adam())
