"""Gradient descent of a linear or MLP decoder without torch: only what the window touches.

See ``backends.numba_decoder_learning``. The weights then lie with one row per input, so that the
decoder of the frames uses them where they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.backends.numba_decoder_learning import (
    BERNOULLI,
    CATEGORICAL,
    GAUSSIAN,
    change_first,
    change_second,
    hidden_error,
    output_error,
    squared_norm,
)
from streamvdib.backends.window_layer import (
    WindowDecoding,
    can_decode,
    dense_layers,
    keep_rows,
    layered,
)
from streamvdib.learning.optimisers import SGD, Optimiser
from streamvdib.likelihoods import Bernoulli, Categorical, Gaussian
from streamvdib.model import Model
from streamvdib.spike_window import SpikeWindow

Target = npt.NDArray[np.float32]
KINDS = {Bernoulli: BERNOULLI, Gaussian: GAUSSIAN, Categorical: CATEGORICAL}


class CompiledDecoderStep:
    """See ``DecoderStep``; one lane, ``SGD`` without momentum.

    Memory: the outputs of both layers, twice.
    """

    def __init__(self, model: Model) -> None:
        self._layers = dense_layers(model)
        for layer in self._layers:
            keep_rows(layer)
        self.model, self.is_rate = model, layered(model).view.sums
        self.parameters = list(model.decoder.parameters())
        likelihood = model.likelihood
        self._kind = KINDS[type(likelihood)]
        self._deviation = likelihood.deviation if isinstance(likelihood, Gaussian) else 1.0
        some = self.parameters[0].detach().numpy().dtype
        sizes = [layer.out_features for layer in self._layers]
        self._errors = [np.empty(size, some) for size in sizes]
        self._none = np.empty(0, some)
        self._decoding: WindowDecoding | None = None
        self._is_ready = False

    def share(self, decoding: object) -> None:
        """Take over what the decoder of an engine's frames has worked out, if it can be used."""
        if isinstance(decoding, WindowDecoding):
            self._decoding = decoding

    def loss(self, window: SpikeWindow, target: Target) -> tuple[float, float]:
        """See ``DecoderStep``."""
        for layer in self._layers:
            keep_rows(layer)
        decoding = self._decoding
        if decoding is None or decoding.window is not window:
            decoding = self._decoding = WindowDecoding(self.model, window)
        outputs, errors = decoding.parameters()[0], self._errors
        wanted = np.asarray(target, outputs.dtype).reshape(-1)
        loss = output_error(self._kind, self._deviation, outputs, wanted, errors[-1])
        hidden, error = self._none, self._none
        if len(errors) > 1:
            hidden, error = decoding.outputs[0][0], errors[1]
            second = decoding.layers[1].weights.reshape(-1)
            hidden_error(hidden, second, error, errors[0])
        ring = decoding.window.ring[:, 0]
        self._is_ready = True
        return loss, squared_norm(ring, self.is_rate, hidden, errors[0], error)

    def update(self, learning_rate: float) -> None:
        """See ``DecoderStep``; the window must be the one of ``loss``."""
        decoding, errors = self._decoding, self._errors
        if not self._is_ready or decoding is None:
            return
        self._is_ready = False
        if learning_rate == 0:
            return
        if len(errors) > 1:
            last = decoding.layers[1]
            hidden = decoding.outputs[0][0]
            change_second(hidden, errors[1], learning_rate, last.weights, last.bias)
        first, window = decoding.layers[0], decoding.window
        oldest = window.n_pushed % window.tau_d
        change_first(
            window.ring[:, 0], oldest, self.is_rate, errors[0], learning_rate, first.weights,
            first.bias,
        )  # fmt: skip
        torch.autograd.graph.increment_version(self.parameters)

    def tensors(self) -> dict[str, Tensor]:
        """See ``DecoderStep``; it remembers nothing."""
        return {}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """See ``DecoderStep``."""


def can_step(model: Model, optimiser: Optimiser) -> bool:
    """Whether a ``CompiledDecoderStep`` makes the updates of this decoder and optimiser."""
    return can_decode(model) and optimiser == SGD() and type(model.likelihood) in KINDS
