"""LeNet: the judge of naturalized digits, a convolutional network trained on MNIST itself.

LeCun et al., 1998 (doi:10.1109/5.726791), in its usual modern form: ReLU and maximum pooling.
The score of a naturalizer is the share of its frames to which this network gives the label of
the digit that was shown (Skatchkovsky et al., 2021, section 6).
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from streamvdib.errors import ModelError
from streamvdib.model import MODELS_FOLDER

LENET_FILE = MODELS_FOLDER / "lenet-mnist.safetensors"


class LeNet(nn.Module):
    """Images (n, 28, 28) from 0 to 1 into ten class scores (n, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Scores before the softmax."""
        scores: Tensor = self.layers(images[:, None])
        return scores


def load_lenet(path: Path = LENET_FILE) -> LeNet:
    """The trained network that comes with the package.

    Raises:
        ModelError: the file is absent or not of this network.
    """
    lenet = LeNet()
    try:
        lenet.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelError(
            f"LeNet's weights must be in {path}; {error}. "
            "Make them with: streamvdib reproduce lenet"
        ) from None
    return lenet.eval()


def save_lenet(lenet: LeNet, path: Path) -> None:
    """Write the weights."""
    tensors = {name: tensor.contiguous() for name, tensor in lenet.state_dict().items()}
    save_file(tensors, path, {"network": "LeNet, MNIST"})


@torch.no_grad()
def predictions(lenet: LeNet, images: Tensor, batch: int = 500) -> Tensor:
    """The most likely class of each image, (n,)."""
    return torch.cat([lenet(part).argmax(1) for part in torch.split(images, batch)])


def accuracy(lenet: LeNet, images: Tensor, labels: Tensor) -> float:
    """Share of images (n, 28, 28) to which LeNet gives the label, from 0 to 1."""
    return float((predictions(lenet, images) == labels).float().mean())


def train_lenet(
    images: Tensor, labels: Tensor, *, epochs: int = 12, batch: int = 100, seed: int = 0
) -> LeNet:
    """Train on digits shifted by up to one pixel, with Adam and a falling rate."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        lenet = LeNet()
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(lenet.parameters(), lr=2e-3)
    n_batches = epochs * (len(images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, n_batches)
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        for chosen in torch.split(order[: len(order) // batch * batch], batch):
            shift = torch.randint(-1, 2, (2,), generator=generator).tolist()
            shown = torch.roll(images[chosen], shift, (1, 2))
            loss = functional.cross_entropy(lenet(shown), labels[chosen])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return lenet.eval()
