"""MNIST as the experiments use it: 60,000 digits to learn from, 10,000 to test on once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..datasets.idx import find_idx, read_images, read_labels


@dataclass(frozen=True)
class Digits:
    """Images and what they show."""

    images: npt.NDArray[np.uint8]  # (n, 28, 28), 0 to 255
    labels: npt.NDArray[np.uint8]  # (n,)

    def __len__(self) -> int:
        return len(self.images)

    def part(self, chosen: slice | npt.NDArray[np.int64]) -> Digits:
        """Some of them."""
        return Digits(self.images[chosen], self.labels[chosen])

    def pixels(self) -> Tensor:
        """Images as numbers from 0 to 1, float32, (n, 28, 28)."""
        return torch.from_numpy(self.images.astype(np.float32) / 255.0)

    def classes(self) -> Tensor:
        """Labels, int64, (n,)."""
        return torch.from_numpy(self.labels.astype(np.int64))


def read_digits(folder: str | Path, part: str) -> Digits:
    """The MNIST digits of ``part``, "train" or "t10k", from a folder of IDX files."""
    return Digits(
        read_images(find_idx(folder, f"{part}-images-idx3-ubyte")),
        read_labels(find_idx(folder, f"{part}-labels-idx1-ubyte")),
    )
