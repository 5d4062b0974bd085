"""Linear and MLP decoders with an event-driven first layer, on a CPU.

Weights are kept a second time, a row per input, and copied again before the next frame when they
have changed: torch counts the changes that it makes itself, and ``weights_changed`` tells of
others, such as those of a learner that writes into the weights' memory.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from streamvdib.backends.numba_decoder import decode_window, rectified_layer
from streamvdib.decoders.linear import LinearDecoder
from streamvdib.decoders.mlp import MLPDecoder
from streamvdib.model import Model
from streamvdib.spike_window import SpikeWindow

Floats = npt.NDArray[np.float32]


class Rows:
    """A dense layer's weights with one row per input. Memory: the layer's, once more."""

    def __init__(self, layer: nn.Linear) -> None:
        self.layer = layer
        self.version: tuple[int, ...] = _version(layer)
        self.weights: Floats = np.ascontiguousarray(layer.weight.detach().numpy().T)
        self.bias: Floats = layer.bias.detach().numpy().copy()

    def refresh(self) -> None:
        """Take over the layer's weights if they have changed."""
        version = _version(self.layer)
        if version == self.version:
            return
        self.version = version
        self.weights[:] = self.layer.weight.detach().numpy().T
        self.bias[:] = self.layer.bias.detach().numpy()


class WindowDecoding:
    """Decodes the window of a model whose decoder ``can_decode``.

    Within 1e-5 of the torch decoder, relative to the largest parameter.
    """

    def __init__(self, model: Model, window: SpikeWindow) -> None:
        decoder = model.decoder
        assert isinstance(decoder, (LinearDecoder, MLPDecoder))
        self.model, self.window, self.is_rate = model, window, decoder.view.sums
        self.layers = [Rows(decoder.first)]
        if isinstance(decoder, MLPDecoder):
            last = decoder.rest[1]
            assert isinstance(last, nn.Linear)
            self.layers.append(Rows(last))
        n_lanes = window.ring.shape[1]
        self.outputs: list[Floats] = [
            np.empty((n_lanes, len(rows.bias)), np.float32) for rows in self.layers
        ]

    def __call__(self) -> Floats:
        """Estimates of every lane, (n_lanes, *output_shape)."""
        shape = self.model.decoder_shape.output_shape
        with torch.inference_mode():
            parameters = torch.from_numpy(self.parameters()).view(-1, *shape)
            estimate: Tensor = self.model.likelihood.estimate(parameters)
        frames: Floats = estimate.numpy()
        return frames.copy() if np.shares_memory(frames, self.outputs[-1]) else frames

    def weights_changed(self) -> None:
        """See ``Decoding``."""
        for rows in self.layers:
            rows.version = ()

    def parameters(self) -> Floats:
        """Natural parameters of every lane, (n_lanes, n_outputs); overwritten by the next call."""
        for rows in self.layers:
            rows.refresh()
        first, oldest = self.layers[0], self.window.n_pushed % self.window.tau_d
        decode_window(
            self.window.ring, oldest, self.is_rate, first.weights, first.bias, self.outputs[0]
        )
        if len(self.layers) > 1:
            last = self.layers[1]
            rectified_layer(self.outputs[0], last.weights, last.bias, self.outputs[1])
        return self.outputs[-1]


def can_decode(model: Model) -> bool:
    """Whether a ``WindowDecoding`` can stand in for the decoder: linear or MLP, float32, CPU."""
    if not isinstance(model.decoder, (LinearDecoder, MLPDecoder)):
        return False
    return all(
        tensor.dtype == torch.float32 and tensor.device.type == "cpu"
        for tensor in model.decoder.parameters()
    )


def _version(layer: nn.Linear) -> tuple[int, int, int, int]:
    """Changes with every change of the weights that torch knows of."""
    weight, bias = layer.weight, layer.bias
    return weight.data_ptr(), weight._version, bias.data_ptr(), bias._version
