"""Causal decoders: the last tau_d spike vectors in, the parameters of a natural frame out.

Each is a ``torch.nn.Module`` that maps a window (n, tau_d, n_neurons) of zeros and ones, oldest
step first, to natural parameters (n, *output_shape). To add one, write its file and its line in
``DECODERS``.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from torch import nn

from streamvdib.connections import Shape
from streamvdib.errors import ConfigurationError

DECODERS = {
    "linear": "streamvdib.decoders.linear:LinearDecoder",
    "mlp": "streamvdib.decoders.mlp:MLPDecoder",
    "convolutional": "streamvdib.decoders.convolutional:ConvolutionalDecoder",
    "upsampling": "streamvdib.decoders.upsampling:UpsamplingDecoder",
    "recurrent": "streamvdib.decoders.recurrent:RecurrentDecoder",
}

VIEWS = ("window", "rate")


@dataclass(frozen=True)
class DecoderShape:
    """What every decoder must know of its surroundings."""

    tau_d: int  # steps in the window
    readout_shape: Shape  # (n_neurons,) or (channels, height, width)
    output_shape: Shape  # of the natural signal, such as (28, 28)
    view: str = "window"  # "rate": the window summed over time (rate decoding)

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise ConfigurationError(
                f"a decoder's view must be one of {', '.join(VIEWS)}; got {self.view!r}"
            )

    @property
    def n_rows(self) -> int:
        """Rows that the network sees: tau_d, or 1 of spike counts."""
        return self.tau_d if self.view == "window" else 1


def build_decoder(kind: str, shape: DecoderShape, **options: int) -> nn.Module:
    """A decoder with fresh weights.

    Args:
        kind: one of ``DECODERS``.
        shape: window, readout and output shapes.
        options: of the kind, such as ``n_hidden``.
    """
    try:
        module_name, class_name = DECODERS[kind].split(":")
    except KeyError:
        raise ConfigurationError(
            f"a decoder must be one of {', '.join(DECODERS)}; got {kind!r}"
        ) from None
    decoder_class = getattr(importlib.import_module(module_name), class_name)
    try:
        decoder = decoder_class(shape, **options)
    except TypeError as error:
        raise ConfigurationError(f"options of the decoder {kind!r} are wrong: {error}") from None
    assert isinstance(decoder, nn.Module)
    return decoder
