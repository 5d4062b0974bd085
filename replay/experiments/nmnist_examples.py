"""N-MNIST as training examples: real recordings, and simulated ones of other MNIST digits.

Each recording is a sequence of time steps; the target at every step is the very image that was
shown. Sequences are shifted by up to ``shift`` pixels and lose a share ``dropout`` of their
active inputs, freshly drawn for each batch. The images of the validation recordings (MNIST
indices 800..999) are never learned from, real or simulated.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.errors import ConfigurationError
from streamvdib.geometry import Box
from streamvdib.learning.batch import Batch
from streamvdib.learning.training_data import Decode

from ..datasets.dataset import DataSet
from ..datasets.layouts.nmnist import VALIDATION
from ..datasets.opening import open_dataset
from ..simulation.nmnist import simulate_binned
from ..simulation.packed import PackedSteps, empty_steps, pack_events
from .lenet import accuracy, load_lenet
from .mnist_data import Digits, read_digits
from .similarity import mean_squared_error, structural_similarity

SENSOR = Box(0, 0, 34, 34)
DT_US = 10_000
N_STEPS = 32  # the longest recordings; most end in step 30
LAST = 30  # the step whose frame is called the last one
VALIDATED_STEPS = [10, 20, LAST]


class NMNISTExamples:
    """Batches for the "nmnist" kind of data; see ``Examples``.

    Memory: 9,248 bytes per recording, real or simulated.

    Args:
        seed: of the order, shifts and dropout.
        folder: N-MNIST, with MNIST beside it or in ``images``.
        images: folder of the MNIST IDX files.
        simulated: how many simulated recordings to add.
        simulated_share: of a batch, from 0 to 1.
        decodes: steps decoded per sequence, the last one among them.
        shift: largest, pixels.
        dropout: share of active inputs taken away.
        cache: folder that keeps the simulated recordings for the next time.
    """

    def __init__(
        self,
        *,
        seed: int,
        folder: str,
        images: str | None = None,
        simulated: int = 16_000,
        simulated_share: float = 0.5,
        decodes: int = 4,
        shift: int = 1,
        dropout: float = 0.2,
        cache: str | None = None,
    ) -> None:
        self.seed, self.decodes, self.shift, self.dropout = seed, decodes, shift, dropout
        self.simulated_share = simulated_share if simulated else 0.0
        data_set = open_dataset(folder, layout="nmnist", images=images)
        self.real = pack_recordings(data_set.split("train"))
        self.kept_back = pack_recordings(data_set.split("validation"))
        mnist = images or _mnist_beside(folder)
        digits = read_digits(mnist, "train")
        self.simulated = simulate_others(digits, simulated, seed, cache) if simulated else None
        self.lenet = load_lenet()

    def batch(self, number: int, size: int) -> Batch:
        """See ``Examples``."""
        random = np.random.default_rng((self.seed, number))
        n_simulated = round(size * self.simulated_share)
        spikes, targets = self.real.drawn(random, size - n_simulated)
        if self.simulated is not None and n_simulated:
            more, other = self.simulated.drawn(random, n_simulated)
            spikes, targets = np.concatenate((spikes, more)), np.concatenate((targets, other))
        inputs = as_inputs(self._augmented(spikes, random))
        steps = sorted([LAST, *random.integers(5, N_STEPS, self.decodes - 1).tolist()])
        pixels = torch.from_numpy(targets.astype(np.float32) / 255.0)
        return Batch(inputs, pixels.expand(len(steps), *pixels.shape), steps)

    def validate(self, decode: Decode) -> dict[str, float]:
        """LeNet accuracy of frames along the recordings, error and similarity of the last."""
        digits = self.kept_back.digits
        spikes = self.kept_back.steps.unpack(slice(0, len(digits)))
        frames, readout = decode(as_inputs(spikes), VALIDATED_STEPS)
        shown, labels = digits.pixels(), digits.classes()
        scores = {
            f"accuracy_{(step + 1) * DT_US // 1000}ms": accuracy(self.lenet, frame, labels)
            for step, frame in zip(VALIDATED_STEPS, frames, strict=True)
        }
        scores["mse"] = float(mean_squared_error(frames[-1], shown).mean())
        scores["ssim"] = float(structural_similarity(frames[-1], shown).mean())
        scores["readout_spikes_per_step"] = float(readout.sum(2).mean())
        return scores

    def _augmented(
        self, spikes: npt.NDArray[np.uint8], random: np.random.Generator
    ) -> npt.NDArray[np.uint8]:
        shifts = random.integers(-self.shift, self.shift + 1, (len(spikes), 2))
        moved = np.stack([shifted(s, *shift) for s, shift in zip(spikes, shifts, strict=True)])
        if self.dropout:
            limit = int(self.dropout * 256)
            moved &= random.integers(0, 256, moved.shape, dtype=np.uint8) >= limit
        return moved


class PackedDigits:
    """Recordings as packed bits, with the digits that they show."""

    def __init__(self, steps: PackedSteps, digits: Digits) -> None:
        self.steps, self.digits = steps, digits

    def drawn(
        self, random: np.random.Generator, n: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Spikes (n, n_steps, 2, 34, 34) and images (n, 28, 28) of n random recordings."""
        chosen = random.integers(0, len(self.digits), n)
        return self.steps.unpack(chosen), self.digits.images[chosen]


def pack_recordings(data_set: DataSet, n_steps: int = N_STEPS, dt_us: int = DT_US) -> PackedDigits:
    """Real recordings; step 0 begins at the multiple of dt at or before the first event."""
    steps = empty_steps(len(data_set.recordings), n_steps, SENSOR, dt_us)
    images, labels = [], []
    for index, recording in enumerate(data_set.recordings):
        if recording.target is None:
            raise ConfigurationError(
                "N-MNIST as training data requires the images that were shown; give the folder "
                "of MNIST with: --data images=FOLDER"
            )
        events = recording.read()
        if len(events):
            events["t_us"] -= events["t_us"][0] // dt_us * dt_us
        pack_events(events, steps, index)
        images.append(recording.target)
        labels.append(recording.label)
    return PackedDigits(steps, Digits(np.stack(images), np.array(labels, np.uint8)))


def simulate_others(digits: Digits, n: int, seed: int, cache: str | None) -> PackedDigits:
    """Simulated recordings of ``n`` MNIST training digits that validation does not show."""
    others = np.setdiff1d(np.arange(len(digits)), np.array(VALIDATION))
    chosen = np.random.default_rng(seed).permutation(others)[:n]
    kept = None if cache is None else Path(cache) / f"simulated-nmnist-{n}-{seed}.npy"
    if kept is not None and kept.is_file():
        return PackedDigits(PackedSteps(np.load(kept), SENSOR, DT_US), digits.part(chosen))
    steps = simulate_binned(digits.images[chosen], np.arange(n), dt_us=DT_US, n_steps=N_STEPS)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, steps.bits)
    return PackedDigits(steps, digits.part(chosen))


def as_inputs(spikes: npt.NDArray[np.uint8]) -> Tensor:
    """(n, n_steps, 2, height, width) into float32 (n_steps, n, n_inputs)."""
    flat = torch.from_numpy(spikes).flatten(2)
    return flat.transpose(0, 1).contiguous().to(torch.float32)


def shifted(spikes: npt.NDArray[np.uint8], down: int, right: int) -> npt.NDArray[np.uint8]:
    """Moved by whole pixels, (..., height, width); what leaves the sensor is lost."""
    moved = np.zeros_like(spikes)
    height, width = spikes.shape[-2:]
    moved[..., max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = (
        spikes[..., max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
    )
    return moved


def _mnist_beside(folder: str) -> Path:
    root = Path(folder)
    beside = (root / "mnist", root.parent / "mnist", root.parent.parent / "mnist")
    found = next((path for path in beside if path.is_dir()), None)
    if found is None:
        raise ConfigurationError(
            f"MNIST must be in a folder mnist in or beside {root}, or be given with "
            "--data images=FOLDER"
        )
    return found
