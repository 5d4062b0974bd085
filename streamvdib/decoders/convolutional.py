"""Convolutions along the readout neurons, with the time steps as channels.

Skatchkovsky et al., 2021, section 6: two convolutional layers and one fully connected layer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from streamvdib.decoders import DecoderShape
from streamvdib.decoders.view import WindowView


class ConvolutionalDecoder(nn.Module):
    """rows -> rows / 2 -> ``channels`` over the neurons (kernel 3, stride 2), ReLU, linear."""

    def __init__(self, shape: DecoderShape, channels: int = 20) -> None:
        super().__init__()
        self.view = WindowView(shape)
        self.output_shape = shape.output_shape
        middle = max(1, shape.n_rows // 2)
        self.convolutions = nn.Sequential(
            nn.Conv1d(shape.n_rows, middle, kernel_size=3, stride=2, padding=1),
            nn.Conv1d(middle, channels, kernel_size=3, stride=2, padding=1),
            nn.ReLU(),
        )
        probe = torch.zeros(1, shape.n_rows, math.prod(shape.readout_shape))
        n_features = self.convolutions(probe).numel()
        self.last = nn.Linear(n_features, math.prod(shape.output_shape))

    def forward(self, window: Tensor) -> Tensor:
        """(n, tau_d, n_neurons) into (n, *output_shape)."""
        features = self.convolutions(self.view(window)).flatten(1)
        return self.last(features).view(-1, *self.output_shape)  # type: ignore[no-any-return]
