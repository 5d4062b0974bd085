"""From the spike window to natural frames: the decoder, its likelihood's mean, and the geometry."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from streamvdib.model import Model
from streamvdib.spike_window import SpikeWindow

Frames = npt.NDArray[np.float32]


class TorchDecoding:
    """Runs the decoder as a torch module. Memory: what the decoder needs for one batch."""

    def __init__(self, model: Model, window: SpikeWindow) -> None:
        self.model, self.window = model, window
        self.parameter = next(model.decoder.parameters())

    def __call__(self) -> Frames:
        """Estimates of every lane, (n_lanes, *output_shape)."""
        with torch.inference_mode():
            window = self.window.tensor(dtype=self.parameter.dtype, device=self.parameter.device)
            estimate = self.model.likelihood.estimate(self.model.decoder(window))
        frames: Frames = estimate.float().cpu().numpy()
        return frames

    def weights_changed(self) -> None:
        """See ``Decoding``: the module's own weights are read at every call."""


class Decoding(Protocol):
    """Frames of the window as it is."""

    def __call__(self) -> Frames:
        """Estimates of every lane, (n_lanes, *output_shape)."""

    def weights_changed(self) -> None:
        """The decoder may have other weights now, even if torch knows of no change."""


def make_decoding(model: Model, window: SpikeWindow) -> Decoding:
    """The quickest way to decode this model on this machine."""
    from streamvdib.backends.window_layer import WindowDecoding, can_decode

    return WindowDecoding(model, window) if can_decode(model) else TorchDecoding(model, window)
