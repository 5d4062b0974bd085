"""The ANN twins of the spiking networks: same sizes, pixels instead of spikes.

"Learning Spatio-Temporal Representations Using Spike-Based Backpropagation" (2018), section 3.1:
stochastic gradient descent with and without Adam, one epoch, batch 100. The paper does not name
the activation functions; here a rectifier in the hidden layer and none at the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .spiking_autoencoder_training import normalised_mse


@dataclass(frozen=True)
class AnnRun:
    """One training run of a twin.

    Attributes:
        name: in tables.
        dataset: "mnist" or "fashion_mnist".
        n_hidden: neurons of the hidden layer.
        adam: with Adam, or plain gradient descent.
        learning_rate: the paper's where it is 0.1 (MNIST) or 0.005 (Fashion-MNIST).
        paper_mse: what the paper reports.
        weight_decay: L2.
    """

    name: str
    dataset: str
    n_hidden: int
    adam: bool
    learning_rate: float
    paper_mse: float | None
    weight_decay: float = 1e-4


ANN_RUNS = (
    AnnRun("mnist-ann", "mnist", 196, False, 0.1, 0.226),
    AnnRun("mnist-ann-fast", "mnist", 196, False, 10.0, 0.226),
    AnnRun("mnist-ann-adam", "mnist", 196, True, 0.1, 0.122),
    AnnRun("mnist-ann-adam-slow", "mnist", 196, True, 1e-3, 0.122),
    AnnRun("fashion-512-ann", "fashion_mnist", 512, False, 5e-3, 0.416),
    AnnRun("fashion-512-ann-fast", "fashion_mnist", 512, False, 5.0, 0.416),
    AnnRun("fashion-512-ann-adam", "fashion_mnist", 512, True, 5e-3, 0.300),
    AnnRun("fashion-512-ann-adam-slow", "fashion_mnist", 512, True, 1e-3, 0.300),
    AnnRun("fashion-1024-ann", "fashion_mnist", 1024, False, 5e-3, 0.418),
    AnnRun("fashion-1024-ann-fast", "fashion_mnist", 1024, False, 5.0, 0.418),
    AnnRun("fashion-1024-ann-adam", "fashion_mnist", 1024, True, 5e-3, 0.387),
    AnnRun("fashion-1024-ann-adam-slow", "fashion_mnist", 1024, True, 1e-3, 0.387),
)


def two_layers(n_inputs: int, n_hidden: int, n_outputs: int, seed: int) -> nn.Sequential:
    """A rectifying hidden layer and a linear output."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(n_inputs, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_outputs)
        )


def shuffled_batches(n_examples: int, batch_size: int, epochs: int, seed: int) -> Iterator[Tensor]:
    """Indices of whole batches."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        order = torch.randperm(n_examples, generator=generator)
        for start in range(0, n_examples - batch_size + 1, batch_size):
            yield order[start : start + batch_size]


def optimiser_of(
    network: nn.Module, *, adam: bool, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Adam or plain gradient descent."""
    kind = torch.optim.Adam if adam else torch.optim.SGD
    return kind(network.parameters(), lr=learning_rate, weight_decay=weight_decay)


def train_twin(
    run: AnnRun, images: Tensor, *, batch_size: int = 100, seed: int = 0
) -> tuple[nn.Sequential, list[tuple[int, float]]]:
    """One epoch on images, (n, 784) in [0, 1].

    Returns:
        The network, and (batch, normalised MSE) while training.
    """
    network = two_layers(images.shape[1], run.n_hidden, images.shape[1], seed)
    optimiser = optimiser_of(
        network, adam=run.adam, learning_rate=run.learning_rate, weight_decay=run.weight_decay
    )
    curve = []
    for number, chosen in enumerate(shuffled_batches(len(images), batch_size, 1, seed + 1)):
        batch = images[chosen]
        output = network(batch)
        optimiser.zero_grad()
        functional.mse_loss(output, batch).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        curve.append((number + 1, normalised_mse(output.detach(), batch)))
    return network, curve


def score_twin(network: nn.Module, images: Tensor) -> float:
    """The paper's MSE on test images."""
    with torch.inference_mode():
        return normalised_mse(network(images), images)
