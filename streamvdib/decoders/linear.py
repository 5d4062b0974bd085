"""One linear map: softmax regression for classes, a linear image otherwise."""

from __future__ import annotations

import math

from torch import Tensor, nn

from streamvdib.decoders import DecoderShape
from streamvdib.decoders.view import WindowView


class LinearDecoder(nn.Module):
    """a = W vec(window) + b."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        n_inputs = shape.n_rows * math.prod(shape.readout_shape)
        self.view = WindowView(shape)
        self.output_shape = shape.output_shape
        self.first = nn.Linear(n_inputs, math.prod(shape.output_shape))

    def forward(self, window: Tensor) -> Tensor:
        """(n, tau_d, n_neurons) into (n, *output_shape)."""
        return self.first(self.view(window).flatten(1)).view(-1, *self.output_shape)  # type: ignore[no-any-return]
