"""The ANN twin of audio-to-image: a regression onto the hidden layer of an image autoencoder.

"Learning Spatio-Temporal Representations Using Spike-Based Backpropagation" (2018), section
3.2.3: the hidden vector of the paired image, quantised into 2^bits levels, is the target of a
two-layer network on the picture of the sound; the autoencoder's second half makes the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .audio_to_image_data import MAX_SHIFT, Words
from .spiking_autoencoder_ann import optimiser_of, shuffled_batches, two_layers

FULL_PRECISION_BITS = 16


@dataclass(frozen=True)
class AudioTwinSettings:
    """One training run of a twin; the defaults are the paper's but for the network's size.

    Attributes:
        n_hidden: neurons of its hidden layer.
        bits: of the quantised target; 16 leaves it as it is.
        adam: with Adam, or plain gradient descent.
        learning_rate: per batch.
        weight_decay: L2.
        batch_size: recordings per update.
        epochs: passes over the recordings.
        seed: of weights, order and shifts.
    """

    n_hidden: int = 512
    bits: int = FULL_PRECISION_BITS
    adam: bool = True
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    batch_size: int = 100
    epochs: int = 20
    seed: int = 0


def hidden_vectors(autoencoder: nn.Sequential, images: Tensor) -> Tensor:
    """The rectified hidden layer of an image autoencoder, (n, n_hidden)."""
    with torch.inference_mode():
        found: Tensor = autoencoder[1](autoencoder[0](images))
    return found.clone()


def quantised(values: Tensor, bits: int) -> Tensor:
    """Values rounded to 2^bits levels between 0 and their largest; unchanged at full precision."""
    if bits >= FULL_PRECISION_BITS:
        return values
    top = values.max().clamp_min(1e-9)
    n_intervals = 2**bits - 1
    rounded: Tensor = torch.round(values / top * n_intervals) / n_intervals * top
    return rounded


def train_audio_twin(words: Words, targets: Tensor, settings: AudioTwinSettings) -> nn.Sequential:
    """Learn the target vector of every recording, (n, n_target)."""
    n_inputs = words.settings.n_channels * words.settings.n_frames
    network = two_layers(n_inputs, settings.n_hidden, targets.shape[1], settings.seed)
    optimiser = optimiser_of(
        network,
        adam=settings.adam,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )
    generator = torch.Generator().manual_seed(settings.seed + 1)
    batches = shuffled_batches(len(words), settings.batch_size, settings.epochs, settings.seed + 2)
    wanted = quantised(targets, settings.bits)
    for chosen in batches:
        shifts = torch.randint(MAX_SHIFT + 1, (len(chosen),), generator=generator).tolist()
        output = network(words.pictures(chosen.tolist(), shifts))
        optimiser.zero_grad()
        functional.mse_loss(output, wanted[chosen]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return network


def synthesise_with_twin(
    network: nn.Module, autoencoder: nn.Sequential, pictures: Tensor, bits: int
) -> Tensor:
    """Images for pictures of sound, (n, n_pixels); what passes on is quantised as the target."""
    with torch.inference_mode():
        hidden = quantised(network(pictures).clamp_min(0.0), bits)
        found: Tensor = autoencoder[2](hidden)
    return found.clone()
