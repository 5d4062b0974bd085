"""The runs of the audio-to-image experiment, and how each is trained and scored."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import torch
from torch import Tensor, nn

from streamvdib.encoder import Encoder, Weights
from streamvdib.learning.membrane_potential import MembranePotentialSettings

from .audio_to_image_ann import (
    AudioTwinSettings,
    hidden_vectors,
    synthesise_with_twin,
    train_audio_twin,
)
from .audio_to_image_data import Words, class_images, paired_images
from .audio_to_image_training import (
    AudiocoderSettings,
    joined,
    looks_like,
    nearest_mse,
    normalised_mse,
    synthesise,
    train_audiocoder,
)

RULE = MembranePotentialSettings()
MAP_STEPS = (15, 10, 5, 2, 1)  # T_h
BITS = (16, 15, 10, 5, 2, 1)
PAPER_A = {15: 0.254}
PAPER_B = {10: 0.543}


@dataclass(frozen=True)
class AudioData:
    """Everything the runs share."""

    train: Words
    test: Words
    class_images: Tensor  # data set A, (10, 784)
    paired_images: Tensor  # data set B, one per training recording, (n, 784)

    def images(self, dataset: str) -> Tensor:
        """The image of every training recording, (n, 784)."""
        return self.class_images[self.train.digits] if dataset == "A" else self.paired_images


def make_audio_data(
    train: Words, test: Words, images: Tensor, classes: Tensor, seed: int = 0
) -> AudioData:
    """Pair recordings with images."""
    return AudioData(
        train,
        test,
        class_images(images, classes),
        paired_images(images, classes, train.digits, seed),
    )


def spiking_settings(n_map_steps: int, epochs: int) -> AudiocoderSettings:
    """Of the audiocoder that learns the first T_h steps of the hidden maps."""
    return AudiocoderSettings(n_map_steps=n_map_steps, epochs=epochs, rule=RULE)


def score_images(data: AudioData, dataset: str, made: Tensor) -> dict[str, float]:
    """How images made from the test recordings compare.

    A: MSE against the class's image. B: the lowest MSE against any training image, as in the
    paper. ``accuracy``: part of the images that resemble the image of their class the most (A),
    or an image of their class (B).
    """
    if dataset == "A":
        mse = normalised_mse(made, data.class_images[data.test.digits])
        found = looks_like(made, data.class_images)
    else:
        mse = nearest_mse(made, data.paired_images)
        found = data.train.digits[looks_like(made, data.paired_images)]
    return {"mse": mse, "accuracy": float((found == data.test.digits).float().mean())}


def run_spiking(
    data: AudioData,
    dataset: str,
    maps: Tensor,
    autoencoder: tuple[Encoder, Weights],
    settings: AudiocoderSettings,
    *,
    say: Callable[[str], None],
) -> tuple[dict[str, Any], tuple[Encoder, Weights], Tensor]:
    """Train and score one audiocoder.

    Returns:
        The numbers, the joined network, and spike counts for the test recordings.
    """
    began = time.perf_counter()
    front, weights, wrong = train_audiocoder(data.train, maps, settings, say=say)
    network = joined((front, weights), autoencoder)
    seconds = round(time.perf_counter() - began, 1)
    made = synthesise(*network, data.test.test_pictures(), n_steps=settings.n_test_steps)
    numbers = {
        "name": f"{dataset}-snn-{settings.n_map_steps}",
        "dataset": dataset,
        "kind": "SNN",
        "settings": asdict(settings),
        "wrong_spikes": wrong,
        "train_seconds": seconds,
        "date": datetime.now(UTC).date().isoformat(),
    } | score_images(data, dataset, made)
    return numbers, network, made


def run_twin(
    data: AudioData, dataset: str, autoencoder: nn.Sequential, settings: AudioTwinSettings
) -> tuple[dict[str, Any], Tensor]:
    """Train and score one ANN twin; its numbers, and images for the test recordings."""
    began = time.perf_counter()
    targets = hidden_vectors(autoencoder, data.images(dataset))
    network = train_audio_twin(data.train, targets, settings)
    seconds = round(time.perf_counter() - began, 1)
    made = synthesise_with_twin(network, autoencoder, data.test.test_pictures(), settings.bits)
    numbers = {
        "name": f"{dataset}-ann{'-adam' if settings.adam else ''}-{settings.bits}",
        "dataset": dataset,
        "kind": "ANN, Adam" if settings.adam else "ANN",
        "settings": asdict(settings),
        "train_seconds": seconds,
        "date": datetime.now(UTC).date().isoformat(),
    } | score_images(data, dataset, made)
    return numbers, made


def as_brightness(made: Tensor) -> Tensor:
    """Images scaled to [0, 1] one by one, for figures."""
    low, high = made.min(1, keepdim=True).values, made.max(1, keepdim=True).values
    return ((made - low) / (high - low).clamp_min(1e-9)).to(torch.float32)
