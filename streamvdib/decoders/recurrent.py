"""A recurrent decoder (gated recurrent unit), named as future work by Skatchkovsky et al., 2021.

It reads the window from its oldest step to its newest, from a zero state each time: the window
stays the only past it sees (eq. 7).
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from streamvdib.decoders import DecoderShape
from streamvdib.decoders.view import WindowView


class RecurrentDecoder(nn.Module):
    """GRU over the steps of the window, then one linear map of its last state."""

    def __init__(self, shape: DecoderShape, n_hidden: int = 256) -> None:
        super().__init__()
        self.view = WindowView(shape)
        self.output_shape = shape.output_shape
        self.recurrence = nn.GRU(math.prod(shape.readout_shape), n_hidden, batch_first=True)
        self.last = nn.Linear(n_hidden, math.prod(shape.output_shape))

    def forward(self, window: Tensor) -> Tensor:
        """(n, tau_d, n_neurons) into (n, *output_shape)."""
        states, _ = self.recurrence(self.view(window))
        return self.last(states[:, -1]).view(-1, *self.output_shape)  # type: ignore[no-any-return]
