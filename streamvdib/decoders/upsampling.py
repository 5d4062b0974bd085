"""An image decoder: the window becomes a small feature image, which grows by upsampling.

A convolutional readout (channels, height, width) is taken as an image with tau_d * channels
feature maps, so the decoder fits any sensor size; a dense readout is first mapped to a small
feature image.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from streamvdib.decoders import DecoderShape
from streamvdib.decoders.view import WindowView
from streamvdib.errors import ConfigurationError


class UpsamplingDecoder(nn.Module):
    """Feature image -> convolution, ReLU -> resize to the output -> two convolutions."""

    def __init__(self, shape: DecoderShape, channels: int = 16, base: int = 7) -> None:
        super().__init__()
        if len(shape.output_shape) != 2:
            raise ConfigurationError(
                "the upsampling decoder requires an image (height, width) as output; "
                f"got {shape.output_shape}. Use the linear or mlp decoder."
            )
        self.view = WindowView(shape)
        self.output_shape = shape.output_shape
        self.readout_shape = shape.readout_shape
        self.base = base
        self.is_spatial = len(shape.readout_shape) == 3
        if self.is_spatial:
            n_maps = shape.n_rows * shape.readout_shape[0]
        else:
            n_maps = channels
            n_inputs = shape.n_rows * math.prod(shape.readout_shape)
            self.first = nn.Linear(n_inputs, channels * base * base)
        self.mix = nn.Conv2d(n_maps, channels, 3, padding=1)
        self.refine = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, window: Tensor) -> Tensor:
        """(n, tau_d, n_neurons) into (n, height, width)."""
        rows = self.view(window)
        if self.is_spatial:
            images = rows.reshape(len(rows), -1, *self.readout_shape[1:])
        else:
            images = functional.relu(self.first(rows.flatten(1)))
            images = images.view(len(rows), -1, self.base, self.base)
        features = functional.relu(self.mix(images))
        features = functional.interpolate(
            features, size=self.output_shape, mode="bilinear", align_corners=False
        )
        result: Tensor = self.last(functional.relu(self.refine(features)))
        return result[:, 0]
