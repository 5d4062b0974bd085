"""What of the window a decoder looks at: all of it, or its sum over time (rate decoding)."""

from __future__ import annotations

from torch import Tensor, nn

from streamvdib.decoders import DecoderShape


class WindowView(nn.Module):
    """(n, tau_d, n_neurons) into (n, n_rows, n_neurons)."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.sums = shape.view == "rate"

    def forward(self, window: Tensor) -> Tensor:
        """The window, or the number of spikes of each neuron in it."""
        return window.sum(1, keepdim=True) if self.sums else window
