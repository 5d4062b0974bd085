"""A multilayer perceptron with one hidden layer (Skatchkovsky et al., 2021, section 6)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from streamvdib.decoders import DecoderShape
from streamvdib.decoders.view import WindowView


class MLPDecoder(nn.Module):
    """a = W2 relu(W1 vec(window) + b1) + b2."""

    def __init__(self, shape: DecoderShape, n_hidden: int = 512) -> None:
        super().__init__()
        n_inputs = shape.n_rows * math.prod(shape.readout_shape)
        self.view = WindowView(shape)
        self.output_shape = shape.output_shape
        self.first = nn.Linear(n_inputs, n_hidden)
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(n_hidden, math.prod(shape.output_shape)))

    def forward(self, window: Tensor) -> Tensor:
        """(n, tau_d, n_neurons) into (n, *output_shape)."""
        hidden = self.first(self.view(window).flatten(1))
        return self.rest(hidden).view(-1, *self.output_shape)  # type: ignore[no-any-return]
