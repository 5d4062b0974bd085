"""The audiocoder: from pictures of sound to the hidden spikes of an image autoencoder.

"Learning Spatio-Temporal Representations Using Spike-Based Backpropagation" (2018), section
3.2.2: the target is the hidden layer's spike map of the paired image, shown again and again; the
trained audiocoder and the autoencoder's second half then turn sound into images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from streamvdib.encoder import Encoder, Weights
from streamvdib.learning.membrane_potential import (
    MembranePotentialRule,
    MembranePotentialSettings,
)

from .audio_to_image_data import MAX_SHIFT, Words
from .spiking_autoencoder_training import (
    AutoencoderSettings,
    denormals_flushed,
    dense_network,
    initial_weights,
    normalised_mse,
    poisson_steps,
    reconstruct,
)


@dataclass(frozen=True)
class AudiocoderSettings:
    """One training run of an audiocoder.

    Attributes:
        n_hidden: neurons of its hidden layer.
        n_map_steps: T_h, steps of the hidden spike map that are the target.
        n_steps: T in training.
        n_test_steps: T in testing.
        batch_size: recordings per update.
        epochs: passes over the recordings.
        final_rate: the learning rate goes linearly from 1 to this part of itself.
        leak: alpha.
        seed: of weights, order, shifts and spikes.
        rule: constants of the learning rule.
    """

    n_hidden: int = 512
    n_map_steps: int = 15
    n_steps: int = 30
    n_test_steps: int = 60
    batch_size: int = 50
    epochs: int = 6
    final_rate: float = 0.02
    leak: float = 0.1
    seed: int = 0
    rule: MembranePotentialSettings = field(default_factory=MembranePotentialSettings)


def hidden_maps(
    encoder: Encoder, weights: Weights, images: Tensor, *, n_steps: int = 15, seed: int = 0
) -> Tensor:
    """The hidden layer's spike maps of images, uint8, (n, n_steps, n_hidden)."""
    generator = torch.Generator().manual_seed(seed)
    settings = AutoencoderSettings(n_steps=n_steps)
    with torch.inference_mode():
        return reconstruct(encoder, weights, images, settings, generator)[2]


def train_audiocoder(
    words: Words,
    maps: Tensor,
    settings: AudiocoderSettings,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Encoder, Weights, list[float]]:
    """Learn the maps of recordings.

    Args:
        words: to learn from.
        maps: the target of every recording, (n, at least T_h, n_map_neurons).
        settings: one run.
        say: told how it goes after every epoch.

    Returns:
        The network, its weights, and the part of wrong target spikes in every epoch.
    """
    n_inputs = words.settings.n_channels * words.settings.n_frames
    encoder = dense_network((n_inputs, settings.n_hidden, maps.shape[2]), settings.leak)
    rule = MembranePotentialRule(
        encoder,
        initial_weights(encoder, "he", settings.seed),
        n_lanes=settings.batch_size,
        n_steps=settings.n_steps,
        settings=settings.rule,
    )
    generator = torch.Generator().manual_seed(settings.seed + 1)
    n_batches = len(words) // settings.batch_size
    wrong = []
    for epoch in range(settings.epochs):
        order = torch.randperm(len(words), generator=generator)
        total = 0.0
        for batch in range(n_batches):
            left = 1.0 - (epoch * n_batches + batch) / (settings.epochs * n_batches)
            part = settings.final_rate + (1.0 - settings.final_rate) * left
            rule.adam.learning_rate = settings.rule.learning_rate * part
            chosen = order[batch * settings.batch_size : (batch + 1) * settings.batch_size]
            with denormals_flushed():
                total += _train_batch(rule, words, maps, chosen, settings, generator)
        wrong.append(total / n_batches)
        say(f"epoch {epoch + 1} of {settings.epochs}: wrong spikes {wrong[-1]:.4f}")
    return encoder, rule.weights, wrong


def _train_batch(
    rule: MembranePotentialRule,
    words: Words,
    maps: Tensor,
    chosen: Tensor,
    settings: AudiocoderSettings,
    generator: torch.Generator,
) -> float:
    """Learn from one batch at every step; the part of target spikes that were wrong."""
    shifts = torch.randint(MAX_SHIFT + 1, (len(chosen),), generator=generator).tolist()
    rates = words.pictures(chosen.tolist(), shifts)
    targets = maps[chosen, : settings.n_map_steps].float()
    rule.begin()
    state = rule.encoder.initial_state(len(chosen))
    keys = torch.zeros(len(chosen), dtype=torch.int64)
    n_wrong = 0.0
    for step, spikes in enumerate(poisson_steps(rates, settings.n_steps, generator)):
        state = rule.encoder.step(rule.weights, spikes, state, keys)
        target = targets[:, step % settings.n_map_steps]
        rule.learn_step(spikes, state.layers, target)
        n_wrong += float((state.layers[-1].spikes != target).float().mean())
    return n_wrong / settings.n_steps


def joined(
    audiocoder: tuple[Encoder, Weights], autoencoder: tuple[Encoder, Weights]
) -> tuple[Encoder, Weights]:
    """Audiocoder and the autoencoder's second half as one network."""
    front, back = audiocoder, autoencoder
    network = Encoder(front[0].input_shape, (*front[0].layers, back[0].layers[1]))
    return network, (*front[1], back[1][1])


def synthesise(
    network: Encoder, weights: Weights, pictures: Tensor, *, n_steps: int, seed: int = 2000
) -> Tensor:
    """Spike counts of the image neurons for pictures of sound, (n, n_pixels)."""
    settings = AutoencoderSettings(n_steps=n_steps)
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        return reconstruct(network, weights, pictures, settings, generator)[0]


def nearest_mse(counts: Tensor, images: Tensor) -> float:
    """Mean over ``counts`` of the lowest normalised MSE to any of ``images`` (data set B)."""
    found = _unit(counts) @ _unit(images).t()  # correlations; MSE is 2 (1 - correlation)
    return float((2.0 * (1.0 - found.max(1).values)).mean())


def _unit(images: Tensor) -> Tensor:
    centred = images.double() - images.double().mean(1, keepdim=True)
    unit: Tensor = centred / centred.norm(dim=1, keepdim=True).clamp_min(1e-9)
    return unit


def looks_like(counts: Tensor, images: Tensor) -> Tensor:
    """Index of the image that each synthesised one resembles most, (n,)."""
    return (_unit(counts) @ _unit(images).t()).argmax(1)


__all__ = [
    "AudiocoderSettings",
    "hidden_maps",
    "joined",
    "looks_like",
    "nearest_mse",
    "normalised_mse",
    "synthesise",
    "train_audiocoder",
]
