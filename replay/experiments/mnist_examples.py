"""MNIST as training examples: each image becomes spikes, and is itself the target of the last step.

rate   x_{p,t} ~ Bernoulli(pixel_p) at every step
ttfs   one spike at step T - round(pixel_p (T - 1)), t = 1..T; none for a black pixel

Skatchkovsky et al., 2021, section 6.2. Every epoch has its own order; validation takes the last
5,000 training images.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from streamvdib.errors import ConfigurationError
from streamvdib.learning.batch import Batch
from streamvdib.learning.training_data import Decode

from .lenet import accuracy, load_lenet
from .mnist_data import Digits, read_digits
from .similarity import mean_squared_error, structural_similarity

ENCODINGS = ("rate", "ttfs")
N_VALIDATION = 5000
CHUNK = 250  # images decoded at once


class MNISTExamples:
    """Batches for the "mnist" kind of data; see ``Examples``.

    Args:
        seed: of the order and of the rate encoding.
        folder: the MNIST IDX files.
        encoding: "rate" or "ttfs".
        n_steps: T.
        validated: images scored at each measurement, at most 5,000.
    """

    def __init__(
        self,
        *,
        seed: int,
        folder: str,
        encoding: str = "rate",
        n_steps: int = 30,
        validated: int = 1000,
    ) -> None:
        if encoding not in ENCODINGS:
            raise ConfigurationError(
                f"the encoding must be one of {', '.join(ENCODINGS)}; got {encoding!r}"
            )
        self.seed, self.encoding, self.n_steps = seed, encoding, n_steps
        digits = read_digits(folder, "train")
        n_train = len(digits) - N_VALIDATION
        self.train = digits.part(slice(0, n_train))
        self.kept_back = digits.part(slice(n_train, n_train + validated))
        self.lenet = load_lenet()
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))  # of one epoch

    def batch(self, number: int, size: int) -> Batch:
        """See ``Examples``."""
        digits = self.train.part(self._chosen(number, size))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        images = digits.pixels()
        inputs = encode(images.flatten(1), self.encoding, self.n_steps, generator)
        return Batch(inputs, images[None], [self.n_steps - 1])

    def validate(self, decode: Decode) -> dict[str, float]:
        """See ``Examples``."""
        return self.score(decode, self.kept_back)

    def score(self, decode: Decode, digits: Digits) -> dict[str, float]:
        """LeNet accuracy, error and similarity of decoded images; spikes per image."""
        generator = torch.Generator().manual_seed(self.seed)
        shown, frames, n_spikes = digits.pixels(), [], 0.0
        for images in torch.split(shown, CHUNK):
            inputs = encode(images.flatten(1), self.encoding, self.n_steps, generator)
            decoded, readout = decode(inputs, [self.n_steps - 1])
            frames.append(decoded[0])
            n_spikes += float(readout.sum())
        estimates = torch.cat(frames)
        return {
            "accuracy": accuracy(self.lenet, estimates, digits.classes()),
            "mse": float(mean_squared_error(estimates, shown).mean()),
            "ssim": float(structural_similarity(estimates, shown).mean()),
            "readout_spikes_per_image": n_spikes / len(digits),
        }

    def _chosen(self, number: int, size: int) -> np.ndarray:
        """Which images batch ``number`` shows: epoch after epoch, each in its own order."""
        positions = np.arange(number * size, (number + 1) * size)
        chosen = np.empty(size, np.int64)
        for epoch in np.unique(positions // len(self.train)):
            if self._order[0] != epoch:
                random = np.random.default_rng((self.seed, int(epoch)))
                self._order = (int(epoch), random.permutation(len(self.train)))
            here = positions // len(self.train) == epoch
            chosen[here] = self._order[1][positions[here] % len(self.train)]
        return chosen


def encode(images: Tensor, encoding: str, n_steps: int, generator: torch.Generator) -> Tensor:
    """Spikes of pixels from 0 to 1, (n, n_pixels) into float32 (n_steps, n, n_pixels)."""
    if encoding == "rate":
        return (torch.rand((n_steps, *images.shape), generator=generator) < images).float()
    step = n_steps - 1 - torch.round(images * (n_steps - 1)).long()
    spikes = torch.zeros(n_steps, *images.shape).scatter_(0, step[None], 1.0)
    return spikes * (images > 0)
