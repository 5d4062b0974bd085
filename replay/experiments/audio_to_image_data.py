"""Spoken digits as pictures of sound, paired with images of digits.

Data set A: one image per class. Data set B: one random image of the same class per recording.
"Learning Spatio-Temporal Representations Using Spike-Based Backpropagation" (2018), section
3.2.1. There the whole utterance is stretched over 1,500 frames; here the picture is that of the
sound source: the last 32 frames of 20 ms, so that what is learned can be run live.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.sources.mel import SILENCE_DB, MelFrames, MelSettings, picture

from ..speech import SpokenDigit

TEST_SHIFT = 3  # frames of silence after a test recording
MAX_SHIFT = 6  # in training, from 0 to this


@dataclass(frozen=True)
class Words:
    """Mel frames of recordings, and the digits that they say."""

    frames_db: tuple[npt.NDArray[np.float32], ...]  # each (n_channels, n)
    digits: Tensor  # int64, (n,)
    settings: MelSettings

    def __len__(self) -> int:
        return len(self.frames_db)

    def pictures(self, chosen: Sequence[int], shifts: Sequence[int]) -> Tensor:
        """Pictures as the sound source shows them ``shift`` frames after the end, (n, n_inputs)."""
        shown = [
            placed(self.frames_db[index], shift, self.settings).reshape(-1)
            for index, shift in zip(chosen, shifts, strict=True)
        ]
        return torch.from_numpy(np.stack(shown))

    def test_pictures(self) -> Tensor:
        """Every recording, ``TEST_SHIFT`` frames after its end, (n, n_inputs)."""
        return self.pictures(range(len(self)), [TEST_SHIFT] * len(self))


def placed(
    frames_db: npt.NDArray[np.float32], shift: int, settings: MelSettings
) -> npt.NDArray[np.float32]:
    """The picture ``shift`` frames after the end of a recording, (n_channels, n_frames)."""
    window = np.full((settings.n_channels, settings.n_frames), SILENCE_DB, dtype=np.float32)
    end = settings.n_frames - shift
    kept = frames_db[:, -end:]
    window[:, end - kept.shape[1] : end] = kept
    return picture(window, settings)


def words_of(recordings: Sequence[SpokenDigit], settings: MelSettings | None = None) -> Words:
    """Mel frames of recordings."""
    settings = settings or MelSettings()
    frames = []
    for recording in recordings:
        mel = MelFrames(recording.rate_hz, settings)
        columns = list(mel.push(recording.samples))
        frames.append(np.stack(columns, axis=1))
    digits = torch.tensor([recording.digit for recording in recordings])
    return Words(tuple(frames), digits, settings)


def class_images(images: Tensor, classes: Tensor) -> Tensor:
    """Data set A's images: of every class the image nearest to the mean of its class, (10, 784).

    The paper picks them by hand.
    """
    chosen = []
    for digit in range(10):
        own = images[classes == digit]
        distances = (own - own.mean(0)).square().sum(1)
        chosen.append(own[int(distances.argmin())])
    return torch.stack(chosen)


def paired_images(images: Tensor, classes: Tensor, digits: Tensor, seed: int) -> Tensor:
    """Data set B's images: for every recording a random one of its class, (n, 784)."""
    generator = torch.Generator().manual_seed(seed)
    by_class = [torch.nonzero(classes == digit)[:, 0] for digit in range(10)]
    chosen = [
        own[int(torch.randint(len(own), (1,), generator=generator))]
        for own in (by_class[int(digit)] for digit in digits)
    ]
    return images[torch.stack(chosen)]
