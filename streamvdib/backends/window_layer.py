"""Linear and MLP decoders with an event-driven first layer, on a CPU.

The loops want weights with a row per input. Where a layer keeps them so (``keep_rows``), they are
used where they lie; otherwise they are kept a second time and copied again before the next frame
when they have changed: torch counts the changes that it makes itself, and ``weights_changed`` tells
of others, such as those of a learner that writes into the weights' memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from streamvdib.backends.compilation import aligned_zeros
from streamvdib.backends.numba_decoder import COLUMNS, decode_window, fill_means, rectified_layer
from streamvdib.backends.numba_spikes import ROOM
from streamvdib.decoders.linear import LinearDecoder
from streamvdib.decoders.mlp import MLPDecoder
from streamvdib.likelihoods import Bernoulli, Gaussian
from streamvdib.model import Model
from streamvdib.spike_window import SpikeWindow

Floats = npt.NDArray[Any]  # float32 or float64
SpikeArray = npt.NDArray[np.uint8]


class Rows:
    """A dense layer's weights with one row per input. Memory: the layer's once more, or nothing."""

    def __init__(self, layer: nn.Linear) -> None:
        self.layer = layer
        self.version: tuple[int, ...] = ()
        self.is_stale = True  # changed by others than torch
        self._copy: Floats | None = None
        self.weights: Floats = _rows(layer)
        self.bias: Floats = layer.bias.detach().numpy()
        self.refresh()

    def refresh(self) -> bool:
        """Take over the layer's weights; whether they have changed."""
        version = _version(self.layer)
        if version == self.version and not self.is_stale:
            return False
        has_moved = version[::2] != self.version[::2]
        self.version, self.is_stale = version, False
        if has_moved or self._copy is not None:
            self._take()
        return True

    def _take(self) -> None:
        self.weights = _rows(self.layer)
        if self.weights.flags.c_contiguous:
            self._copy = None
        else:
            if self._copy is None:
                self._copy = aligned_zeros(self.weights.size, self.weights.dtype).reshape(
                    self.weights.shape
                )
            self._copy[:] = self.weights
            self.weights = self._copy
        self.bias = self.layer.bias.detach().numpy()


def keep_rows(layer: nn.Linear) -> None:
    """Let a layer's weight lie in memory with one row per input; its values stay the same."""
    weight = layer._parameters["weight"]  # quicker than by the module's attributes
    if weight is not None and weight.stride() != (1, layer.out_features):
        layer.weight.data = layer.weight.data.T.contiguous().T


def _rows(layer: nn.Linear) -> Floats:
    rows: Floats = layer.weight.detach().numpy().T
    return rows


class WindowDecoding:
    """Decodes the window of a model whose decoder ``can_decode``.

    Within 1e-5 of the torch decoder, relative to the largest parameter. Asked again about the same
    window and weights, it has the answer. Memory: one window, and the outputs of both layers.
    """

    def __init__(self, model: Model, window: SpikeWindow) -> None:
        self.model, self.window, self.is_rate = model, window, layered(model).view.sums
        self.layers = [Rows(layer) for layer in dense_layers(model)]
        n_lanes = window.ring.shape[1]
        self.outputs: list[Floats] = [
            aligned_zeros(n_lanes * len(rows.bias), rows.bias.dtype).reshape(n_lanes, -1)
            for rows in self.layers
        ]
        self._seen = b""  # the ring that the outputs are of
        self._oldest = 0
        self.ends = np.zeros(n_lanes + 1, np.int64)  # of the lanes' lists of spikes in one step
        n_neurons, number = window.ring.shape[2], self.layers[0].bias.dtype
        self.active = np.empty(n_lanes * n_neurons + ROOM, np.uint64)
        self.block = aligned_zeros(n_neurons * int(COLUMNS), number)

    def __call__(self) -> Floats:
        """Estimates of every lane, (n_lanes, *output_shape)."""
        shape, parameters = self.model.decoder_shape.output_shape, self.parameters()
        likelihood = self.model.likelihood
        if isinstance(likelihood, (Bernoulli, Gaussian)):
            frames: Floats = np.empty((len(parameters), *shape), np.float32)
            is_logistic = isinstance(likelihood, Bernoulli)
            fill_means(parameters.reshape(-1), is_logistic, frames.reshape(-1))
            return frames
        with torch.inference_mode():
            estimate: Tensor = likelihood.estimate(torch.from_numpy(parameters).view(-1, *shape))
        return estimate.float().numpy()

    def weights_changed(self) -> None:
        """See ``Decoding``."""
        self._seen = b""
        for rows in self.layers:
            rows.is_stale = True

    def parameters(self) -> Floats:
        """Natural parameters of every lane, (n_lanes, n_outputs); overwritten by the next call."""
        changed = [rows.refresh() for rows in self.layers]
        first, oldest = self.layers[0], self.window.n_pushed % self.window.tau_d
        ring = self.window.ring
        seen = ring.tobytes()  # a copy and a comparison of bytes take less than one of arrays
        if not any(changed) and oldest == self._oldest and seen == self._seen:
            return self.outputs[-1]
        self._seen, self._oldest = seen, oldest
        decode_window(
            ring.reshape(-1),
            ring.shape[2],
            oldest,
            self.is_rate,
            first.weights.reshape(-1),
            first.bias,
            self.outputs[0].reshape(-1),
            self.ends,
            self.active,
            self.block,
        )
        if len(self.layers) > 1:
            last = self.layers[1]
            rectified_layer(self.outputs[0], last.weights, last.bias, self.outputs[1])
        return self.outputs[-1]


def can_decode(model: Model) -> bool:
    """Whether a ``WindowDecoding`` can stand in for the decoder: linear or MLP, on a CPU."""
    if not isinstance(model.decoder, (LinearDecoder, MLPDecoder)):
        return False
    types = {tensor.dtype for tensor in model.decoder.parameters()}
    return types in ({torch.float32}, {torch.float64}) and all(
        tensor.device.type == "cpu" for tensor in model.decoder.parameters()
    )


def layered(model: Model) -> LinearDecoder | MLPDecoder:
    """The decoder of a model that ``can_decode``."""
    assert isinstance(model.decoder, (LinearDecoder, MLPDecoder))
    return model.decoder


def dense_layers(model: Model) -> list[nn.Linear]:
    """The decoder's layers, first to last."""
    decoder = layered(model)
    if isinstance(decoder, LinearDecoder):
        return [decoder.first]
    last = decoder.rest[1]
    assert isinstance(last, nn.Linear)
    return [decoder.first, last]


def _version(layer: nn.Linear) -> tuple[int, int, int, int]:
    """Changes with every change of the weights that torch knows of."""
    parameters: dict[str, Any] = layer._parameters  # quicker than by the module's attributes
    weight, bias = parameters["weight"], parameters["bias"]
    return weight.data_ptr(), weight._version, bias.data_ptr(), bias._version
