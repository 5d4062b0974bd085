"""Spiking autoencoders on images: Poisson spikes in, the same spikes out, one step at a time.

"Learning Spatio-Temporal Representations Using Spike-Based Backpropagation" (2018), sections 2.1
to 3.1: pixels in [0, 1] times a maximum rate are the probabilities of a spike per step; the
readout should give the input's spikes of the same step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from streamvdib.connections import Dense
from streamvdib.encoder import Encoder, Layer, LayerWeights, Weights
from streamvdib.errors import ConfigurationError
from streamvdib.learning.membrane_potential import (
    MembranePotentialRule,
    MembranePotentialSettings,
    without_bias,
)
from streamvdib.neurons.lif_hard_reset import LIFHardReset

from .spiking_autoencoder_progress import Curve, Progress

INITIALISATIONS = ("linear", "he", "balanced")
SAID_EVERY = 25  # batches
BALANCED_CURRENT = 0.3  # of a hidden neuron on the mean image, in units of the threshold


@dataclass(frozen=True)
class AutoencoderSettings:
    """One training run; the defaults are the paper's for MNIST.

    Attributes:
        n_hidden: neurons of layer 1.
        n_steps: T, length of the spike trains in training.
        n_test_steps: T in testing; None for the same.
        leak: alpha.
        max_rate: spikes per step of a white pixel.
        batch_size: images per update.
        epochs: passes over the images.
        initialisation: "linear" (torch's Linear), "he" (normal, variance 2 / n_inputs), or
            "balanced" (He's, and every hidden neuron gets the same current on the mean image).
        final_rate: the learning rate goes linearly from 1 to this part of itself.
        seed: of weights, order and spikes.
        rule: constants of the learning rule.
    """

    n_hidden: int = 196
    n_steps: int = 15
    n_test_steps: int | None = None
    leak: float = 0.1
    max_rate: float = 1.0
    batch_size: int = 100
    epochs: int = 1
    initialisation: str = "linear"
    final_rate: float = 1.0
    seed: int = 0
    rule: MembranePotentialSettings = field(default_factory=MembranePotentialSettings)


@dataclass(frozen=True)
class TrainedAutoencoder:
    """A network and how it came to be."""

    settings: AutoencoderSettings
    encoder: Encoder
    weights: Weights
    curve: tuple[tuple[int, float, float], ...]  # (batch, MSE, Spike-MSE) while training
    seconds: float  # of training, before and after a stop


@dataclass(frozen=True)
class Scores:
    """Reconstruction of test images, averaged over images."""

    mse: float  # the paper's MSE: output spike count against image, normalised per image
    mse_whole: float  # the same, normalised over all images at once
    spike_mse: float  # against the input's spike counts, normalised per image
    input_mse: float  # input's spike counts against the image: what the coding itself loses
    hidden_rate: float  # spikes per neuron and step


def dense_network(sizes: tuple[int, ...], leak: float) -> Encoder:
    """Fully connected layers of LIF neurons with hard reset."""
    return Encoder(
        (sizes[0],), tuple(Layer(Dense(size), LIFHardReset(leak=leak)) for size in sizes[1:])
    )


def initial_weights(
    encoder: Encoder, initialisation: str, seed: int, mean_input: Tensor | None = None
) -> Weights:
    """Weights without biases; ``mean_input``, (n_inputs,), is what "balanced" ones need."""
    generator = torch.Generator().manual_seed(seed)
    weights = without_bias(encoder.initial_weights(generator))
    if initialisation == "linear":
        return weights
    if initialisation not in INITIALISATIONS:
        raise ConfigurationError(
            f"the initialisation must be one of {', '.join(INITIALISATIONS)}; got {initialisation}"
        )
    drawn = []
    for layer in weights:
        shape = layer.synapses.shape
        normal = torch.randn(shape, generator=generator) * math.sqrt(2.0 / shape[1])
        drawn.append(LayerWeights(normal, layer.feedback, layer.bias))
    if initialisation == "balanced":
        assert mean_input is not None
        drawn[0] = replace(drawn[0], synapses=balanced(drawn[0].synapses[0], mean_input)[None])
    return tuple(drawn)


def balanced(matrix: Tensor, mean_input: Tensor) -> Tensor:
    """The matrix (n_inputs, n_neurons) with ``BALANCED_CURRENT`` for every neuron on the mean.

    Without it, what all images share decides: half of the neurons spike at every step, and the
    other half never.
    """
    unit = mean_input / mean_input.square().sum()
    wanted = BALANCED_CURRENT - mean_input @ matrix
    return matrix + torch.outer(unit, wanted)


def poisson_steps(rates: Tensor, n_steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Spikes of every step, 0 or 1, (n, n_inputs); ``rates`` are their probabilities."""
    for _ in range(n_steps):
        yield (torch.rand(rates.shape, generator=generator) < rates).to(rates.dtype)


def normalised_mse(first: Tensor, second: Tensor, *, per_image: bool = True) -> float:
    """Mean square error after both have mean 0 and variance 1.

    Args:
        first: (n, n_pixels).
        second: same shape.
        per_image: normalise every image by itself; otherwise all of them together.
    """
    return float((_normalised(first, per_image) - _normalised(second, per_image)).square().mean())


def _normalised(images: Tensor, per_image: bool) -> Tensor:
    images = images.to(torch.float64)
    if not per_image:
        images = images.reshape(1, -1)
    centred = images - images.mean(1, keepdim=True)
    return centred / centred.square().mean(1, keepdim=True).sqrt().clamp_min(1e-9)


def train(
    images: Tensor,
    settings: AutoencoderSettings,
    *,
    n_batches: int | None = None,
    say: Callable[[str], None] = lambda _: None,
    progress_file: Path | None = None,
) -> TrainedAutoencoder:
    """Train on images, (n, n_pixels) in [0, 1].

    Args:
        images: in any order; shuffled by the seed.
        settings: one run.
        n_batches: stop after so many.
        say: told how it goes, every ``SAID_EVERY`` batches.
        progress_file: written as often; a run that was stopped goes on from it.
    """
    encoder = dense_network((images.shape[1], settings.n_hidden, images.shape[1]), settings.leak)
    rule = MembranePotentialRule(
        encoder,
        initial_weights(
            encoder, settings.initialisation, settings.seed, images.mean(0) * settings.max_rate
        ),
        n_lanes=settings.batch_size,
        n_steps=settings.n_steps,
        settings=settings.rule,
    )
    generator = torch.Generator().manual_seed(settings.seed + 1)
    curve: Curve = []
    began = time.perf_counter()
    batches = list(_batches(len(images), settings, generator))[:n_batches]
    about = asdict(settings) | {"n_batches": len(batches)}
    progress = Progress(progress_file, about) if progress_file else None
    if progress:
        curve, seconds_before = progress.load(rule, generator)
        began -= seconds_before
    with denormals_flushed():
        for number in range(len(curve), len(batches)):
            left = 1.0 - number / len(batches)
            part = settings.final_rate + (1.0 - settings.final_rate) * left
            rule.adam.learning_rate = settings.rule.learning_rate * part
            mse, spike_mse = _train_batch(rule, images[batches[number]], settings, generator)
            curve.append((number + 1, mse, spike_mse))
            if (number + 1) % SAID_EVERY == 0:
                if progress:
                    progress.save(rule, generator, curve, time.perf_counter() - began)
                of = f"{number + 1} of {len(batches)}"
                say(f"batch {of}: MSE {mse:.4f}, Spike-MSE {spike_mse:.4f}")
    seconds = time.perf_counter() - began
    return TrainedAutoencoder(settings, encoder, rule.weights, tuple(curve), seconds)


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Moments of idle weights fade out to denormal numbers, which double the time of a step."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _batches(
    n_images: int, settings: AutoencoderSettings, generator: torch.Generator
) -> Iterator[Tensor]:
    for _ in range(settings.epochs):
        order = torch.randperm(n_images, generator=generator)
        n_whole = n_images // settings.batch_size * settings.batch_size
        for start in range(0, n_whole, settings.batch_size):
            yield order[start : start + settings.batch_size]


def _train_batch(
    rule: MembranePotentialRule,
    images: Tensor,
    settings: AutoencoderSettings,
    generator: torch.Generator,
) -> tuple[float, float]:
    """Learn from one batch at every step; its MSE and Spike-MSE meanwhile."""
    rule.begin()
    state = rule.encoder.initial_state(len(images))
    keys = torch.zeros(len(images), dtype=torch.int64)  # nothing is drawn by the neurons
    counted_in, counted_out = torch.zeros_like(images), torch.zeros_like(images)
    for spikes in poisson_steps(images * settings.max_rate, settings.n_steps, generator):
        state = rule.encoder.step(rule.weights, spikes, state, keys)
        rule.learn_step(spikes, state.layers, spikes)
        counted_in += spikes
        counted_out += state.layers[-1].spikes
    return normalised_mse(counted_out, images), normalised_mse(counted_out, counted_in)


def reconstruct(
    encoder: Encoder,
    weights: Weights,
    images: Tensor,
    settings: AutoencoderSettings,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Spike counts of readout and input, (n, n_pixels), and layer 1's spikes, (n, T, n_hidden)."""
    state = encoder.initial_state(len(images))
    keys = torch.zeros(len(images), dtype=torch.int64)
    counted_in, counted_out = torch.zeros_like(images), torch.zeros(len(images), encoder.n_outputs)
    hidden = []
    for spikes in poisson_steps(images * settings.max_rate, settings.n_steps, generator):
        state = encoder.step(weights, spikes, state, keys)
        counted_in += spikes
        counted_out += state.layers[-1].spikes
        hidden.append(state.layers[0].spikes.to(torch.uint8))
    return counted_out, counted_in, torch.stack(hidden, 1)


def score(trained: TrainedAutoencoder, images: Tensor, *, seed: int = 1000) -> Scores:
    """How well test images come back."""
    settings = trained.settings
    settings = replace(settings, n_steps=settings.n_test_steps or settings.n_steps)
    generator = torch.Generator().manual_seed(seed)
    outs, ins, rates = [], [], []
    with torch.inference_mode():
        for start in range(0, len(images), 500):
            part = images[start : start + 500]
            counted_out, counted_in, hidden = reconstruct(
                trained.encoder, trained.weights, part, settings, generator
            )
            outs.append(counted_out)
            ins.append(counted_in)
            rates.append(float(hidden.float().mean()))
    counted_out, counted_in = torch.cat(outs), torch.cat(ins)
    return Scores(
        mse=normalised_mse(counted_out, images),
        mse_whole=normalised_mse(counted_out, images, per_image=False),
        spike_mse=normalised_mse(counted_out, counted_in),
        input_mse=normalised_mse(counted_in, images),
        hidden_rate=sum(rates) / len(rates),
    )
