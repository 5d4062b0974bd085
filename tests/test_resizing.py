"""Convolutional models run at any sensor size with the same weights."""

import pytest
import torch

from streamvdib.engine import Engine
from streamvdib.errors import GeometryError
from streamvdib.events import EventPacket, SensorSize, as_events
from streamvdib.geometry import fit_geometry
from streamvdib.model import Model
from streamvdib.resizing import fits_any_size, resized
from tests.models import small_model


def convolutional() -> Model:
    memory = {"kind": "exponential", "decay": 0.5, "tau_e": 3}
    neuron = {"kind": "srm", "response": memory, "feedback": memory}
    layers = [
        {"connection": {"kind": "convolution", "channels": 3, "stride": 2}, "neuron": neuron},
        {
            "connection": {"kind": "convolution", "channels": 2},
            "neuron": {**neuron, "stochastic": True},
        },
    ]
    decoder = {"kind": "upsampling", "tau_d": 4, "output_shape": [8, 8], "channels": 4}
    return small_model(input_shape=[2, 8, 8], layers=layers, decoder=decoder)


def test_a_larger_sensor_gives_a_larger_frame_from_the_same_weights() -> None:
    small = convolutional()
    large = resized(small, height=12, width=20)
    assert fits_any_size(small)
    for name, tensor in small.tensors().items():
        assert torch.equal(large.tensors()[name], tensor)
    engine = Engine(large, fit_geometry(SensorSize(20, 12), large.encoder.input_shape))
    frame = engine.advance(EventPacket(as_events([0], [19], [11], [True]), 1_000))[0]
    assert frame.pixels.shape == (1, 12, 20)


def test_a_dense_model_is_bound_to_its_size() -> None:
    with pytest.raises(GeometryError, match=r"convolutional throughout .* Use --crop or --tile"):
        resized(small_model(), 6, 8)
