"""The trained audio-to-image network as a model for ``streamvdib run``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from streamvdib.encoder import LayerWeights, Weights
from streamvdib.model import Model, new_model, save_model
from streamvdib.sources.sound import SoundSettings

TAU_D = 60  # steps of the readout that an image is made of: 120 ms


def audio_model(weights: Weights, *, leak: float, gain: float, name: str) -> Model:
    """Audiocoder, the autoencoder's second half, and spike counts as an image.

    Args:
        weights: of the three layers.
        leak: alpha of their neurons.
        gain: brightness of a pixel that spikes at every step.
        name: of the model.
    """
    settings = SoundSettings()
    description: dict[str, Any] = {
        "name": name,
        "dt_us": settings.step_us,
        "input_shape": [1, settings.mel.n_channels, settings.mel.n_frames],
        "layers": [
            {
                "connection": {"kind": "dense", "n_neurons": layer.synapses.shape[2]},
                "neuron": {"kind": "lif_hard_reset", "leak": leak},
            }
            for layer in weights
        ],
        "decoder": {
            "kind": "linear",
            "view": "rate",
            "tau_d": TAU_D,
            "output_shape": [28, 28],
            "likelihood": {"name": "gaussian"},
        },
    }
    model = new_model(description)
    n_pixels = weights[-1].synapses.shape[2]
    model.decoder.load_state_dict(  # a pixel is as bright as its neuron spikes often
        {"first.weight": torch.eye(n_pixels) * (gain / TAU_D), "first.bias": torch.zeros(n_pixels)}
    )
    return model.with_weights(
        tuple(
            LayerWeights(layer.synapses.contiguous(), layer.feedback, layer.bias)
            for layer in weights
        )
    )


def write_audio_model(model: Model, path: Path) -> None:
    """Write the model with half-precision weights."""
    save_model(model, path, half=True)
