"""Digits seen by an event camera, with one fixed MNIST image per class as the target.

Skatchkovsky et al., 2021, section 6.3. Three sources: the real MNIST-DVS (cropped to 26 x 26
around the digit), a simulation of it from MNIST digits, and N-MNIST (34 x 34).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from streamvdib.errors import ConfigurationError
from streamvdib.events import EventArray
from streamvdib.geometry import Box
from streamvdib.learning.batch import Batch
from streamvdib.learning.training_data import Decode

from ..datasets.dataset import DataSet
from ..datasets.opening import open_dataset
from ..simulation.mnist_dvs import MNIST_DVS_CROP, simulate_mnist_dvs
from ..simulation.packed import PackedSteps, empty_steps, pack_events
from .lenet import accuracy, load_lenet
from .mnist_data import Digits, read_digits
from .nmnist_examples import SENSOR, as_inputs

SOURCES = ("simulated", "nmnist", "mnist-dvs")
DURATION_US = {"simulated": 2_000_000, "mnist-dvs": 2_000_000, "nmnist": 310_000}
CHUNK = 50  # recordings decoded at once


@dataclass(frozen=True)
class LabelledSteps:
    """Recordings as time steps, with their classes."""

    steps: PackedSteps
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def split(self, first: int) -> tuple[LabelledSteps, LabelledSteps]:
        """The first recordings, and the rest."""
        steps = self.steps
        return tuple(
            LabelledSteps(PackedSteps(steps.bits[part], steps.crop, steps.dt_us), self.labels[part])
            for part in (slice(0, first), slice(first, None))
        )  # type: ignore[return-value]


class MNISTDVSExamples:
    """Batches for the "mnist-dvs" kind of data; see ``Examples``.

    Args:
        seed: of the simulation and of the order.
        mnist: folder of the MNIST IDX files.
        source: one of ``SOURCES``.
        folder: of the recordings, unless simulated.
        dt_us: length of a time step.
        n_train: simulated recordings to learn from, those for validation included.
        n_test: simulated recordings to score at the end.
        n_validation: the last recordings of the training set, scored while learning.
        dropout: share of active inputs taken away in training.
    """

    def __init__(
        self,
        *,
        seed: int,
        mnist: str,
        source: str = "simulated",
        folder: str | None = None,
        dt_us: int = 10_000,
        n_train: int = 600,
        n_test: int = 200,
        n_validation: int = 50,
        dropout: float = 0.1,
    ) -> None:
        if source not in SOURCES:
            raise ConfigurationError(
                f"the source must be one of {', '.join(SOURCES)}; got {source!r}"
            )
        if source == "simulated" and not 0 <= n_validation < n_train:
            raise ConfigurationError(
                f"n_train must be more than the {n_validation} recordings kept back for "
                f"validation; got {n_train}"
            )
        self.seed, self.dropout = seed, dropout
        self.n_steps = DURATION_US[source] // dt_us
        digits = read_digits(mnist, "train")
        self.images = class_images(digits)
        if source == "simulated":
            train, self.test = _simulated(mnist, n_train, n_test, self.n_steps, dt_us)
        else:
            train, self.test = _recorded(source, folder, self.n_steps, dt_us)
        self.train, self.kept_back = train.split(len(train) - n_validation)
        self.lenet = load_lenet()

    def batch(self, number: int, size: int) -> Batch:
        """See ``Examples``."""
        random = np.random.default_rng((self.seed, number))
        chosen = random.integers(0, len(self.train), size)
        spikes = self.train.steps.unpack(chosen)
        if self.dropout:
            limit = int(self.dropout * 256)
            spikes &= random.integers(0, 256, spikes.shape, dtype=np.uint8) >= limit
        targets = self.images[self.train.labels[chosen]]
        return Batch(as_inputs(spikes), targets[None], [self.n_steps - 1])

    def validate(self, decode: Decode) -> dict[str, float]:
        """Scores on the recordings of the training set that were kept back."""
        return self.score(self.kept_back, *self.decode(decode, self.kept_back))

    def score(
        self, recordings: LabelledSteps, frames: torch.Tensor, readout: torch.Tensor
    ) -> dict[str, float]:
        """LeNet accuracy and error of the frames at the recordings' ends; readout spikes."""
        labels = torch.from_numpy(recordings.labels)
        error = (frames - self.images[recordings.labels]).square().mean()
        return {
            "accuracy": accuracy(self.lenet, frames, labels),
            "mse": float(error),
            "readout_spikes_per_step": float(readout.float().sum(2).mean()),
        }

    def decode(
        self, decode: Decode, recordings: LabelledSteps
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames (n, 28, 28) and readout spikes, uint8 (n, n_steps, n_neurons), to be scored."""
        frames, spikes = [], []
        for start in range(0, len(recordings), CHUNK):
            part = recordings.steps.unpack(slice(start, start + CHUNK))
            decoded, readout = decode(as_inputs(part), [self.n_steps - 1])
            frames.append(decoded[0])
            spikes.append(readout.transpose(0, 1).to(torch.uint8))
        return torch.cat(frames), torch.cat(spikes)


def class_images(digits: Digits) -> torch.Tensor:
    """The first training image of each class, pixels from 0 to 1, (10, 28, 28)."""
    first = [int(np.argmax(digits.labels == digit)) for digit in range(10)]
    return digits.part(np.array(first)).pixels()


@lru_cache(maxsize=1)  # both decodings see the same recordings
def _simulated(
    mnist: str, n_train: int, n_test: int, n_steps: int, dt_us: int
) -> tuple[LabelledSteps, LabelledSteps]:
    """Digits 0.. to learn from and others to score, none in both."""
    digits = read_digits(mnist, "train")
    steps = empty_steps(n_train + n_test, n_steps, MNIST_DVS_CROP, dt_us)
    for index in range(n_train + n_test):
        events = simulate_mnist_dvs(digits.images[index], index)
        pack_events(events, steps, index)
    labels = digits.labels[: n_train + n_test].astype(np.int64)
    return LabelledSteps(steps, labels).split(n_train)


def _recorded(
    source: str, folder: str | None, n_steps: int, dt_us: int
) -> tuple[LabelledSteps, LabelledSteps]:
    if folder is None:
        raise ConfigurationError(f"the source {source!r} requires folder=PATH of the recordings")
    data_set = open_dataset(Path(folder), layout=source)
    crop = SENSOR if source == "nmnist" else MNIST_DVS_CROP
    held_out = "validation" if source == "nmnist" else "test"
    return (
        _packed(data_set.split("train"), crop, n_steps, dt_us),
        _packed(data_set.split(held_out), crop, n_steps, dt_us),
    )


def _packed(data_set: DataSet, crop: Box, n_steps: int, dt_us: int) -> LabelledSteps:
    steps = empty_steps(len(data_set.recordings), n_steps, crop, dt_us)
    for index, recording in enumerate(data_set.recordings):
        pack_events(_from_first(recording.read(), dt_us), steps, index)
    labels = np.array([recording.label for recording in data_set.recordings], np.int64)
    return LabelledSteps(steps, labels)


def _from_first(events: EventArray, dt_us: int) -> EventArray:
    """Times from the multiple of dt at or before the first event."""
    if len(events):
        events["t_us"] -= events["t_us"][0] // dt_us * dt_us
    return events
