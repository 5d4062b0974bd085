"""Scores a data set's recordings through the streaming engine: every frame of every recording.

Each recording begins from silence, as a stream of its own. Scores are those of the last frame,
and of the frames at each time since the recording began.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from streamvdib.binning import Binner
from streamvdib.engine import Engine
from streamvdib.errors import ConfigurationError, RecordingError
from streamvdib.events import EventPacket
from streamvdib.geometry import Geometry
from streamvdib.model import Model

from ..datasets.dataset import Recording
from .lenet import LeNet, predictions
from .similarity import mean_squared_error, structural_similarity

Done = Callable[[int], object]


@dataclass(frozen=True)
class FrameScores:
    """Scores of one frame per recording."""

    right: Tensor  # whether LeNet gives the label, (n,)
    mse: Tensor  # (n,); nan without a target image
    ssim: Tensor

    def means(self) -> dict[str, float]:
        """Mean of each score that there is."""
        named = {"accuracy": self.right.float(), "mse": self.mse, "ssim": self.ssim}
        return {
            name: float(values.mean()) for name, values in named.items() if not values.isnan().any()
        }


@dataclass(frozen=True)
class Evaluation:
    """Last frames, and frames by time since the recording began."""

    n_recordings: int
    last: dict[str, float]
    by_time: list[dict[str, float]]  # with "time_ms" and "n", the recordings that last so long
    spikes_per_step: float

    def as_table(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "n_recordings": self.n_recordings,
            "last_frame": self.last,
            "readout_spikes_per_step": self.spikes_per_step,
            "by_time": self.by_time,
        }


def evaluate(
    model: Model,
    geometry: Geometry,
    recordings: Sequence[Recording],
    lenet: LeNet,
    *,
    seed: int = 0,
    backend: str = "auto",
    done: Done = lambda _: None,
) -> Evaluation:
    """Decode every recording and score its frames.

    Raises:
        ConfigurationError: the model does not give 28 x 28 images.
        RecordingError: there are no recordings.
    """
    if tuple(model.decoder_shape.output_shape) != (28, 28):
        raise ConfigurationError(
            "LeNet scores images of (28, 28) pixels; the model gives "
            f"{tuple(model.decoder_shape.output_shape)}"
        )
    if not recordings:
        raise RecordingError("an evaluation requires at least one recording; got none")
    engine = Engine(model, None, seed=seed, backend=backend)
    frames = []
    for index, recording in enumerate(recordings):
        frames.append(decoded(engine, geometry, recording))
        done(index + 1)
    last = _scores([f[-1:] for f in frames], recordings, lenet)
    by_time = []
    for step in range(max(len(f) for f in frames)):
        lasting = [i for i, f in enumerate(frames) if len(f) > step]
        found = _scores(
            [frames[i][step : step + 1] for i in lasting], [recordings[i] for i in lasting], lenet
        )
        time_ms = (step + 1) * model.dt_us / 1000
        by_time.append({"time_ms": time_ms, "n": len(lasting)} | found.means())
    spikes = engine.statistics.spikes / max(1, engine.statistics.steps)
    return Evaluation(len(recordings), last.means(), by_time, spikes)


def decoded(engine: Engine, geometry: Geometry, recording: Recording) -> Tensor:
    """Every frame of a recording from silence, (n_steps, height, width)."""
    events = recording.read()
    if len(events) == 0:
        raise RecordingError(f"{recording.path} must hold events to be scored; it holds none")
    model = engine.model
    binner = Binner(geometry, model.dt_us)
    end_us = (int(events["t_us"][-1]) // model.dt_us + 1) * model.dt_us
    frames = []
    is_first = True
    for steps in binner.push(EventPacket(events, end_us)):
        inputs = replace(steps, first_step=engine.step, restarts=is_first)
        is_first = False
        frames += [frame.pixels[0] for frame in engine.run(inputs)]
    return torch.from_numpy(np.stack(frames))


def _scores(frames: list[Tensor], recordings: Sequence[Recording], lenet: LeNet) -> FrameScores:
    shown = torch.cat(frames)
    labels = torch.tensor([recording.label for recording in recordings])
    right = predictions(lenet, shown) == labels
    images = [recording.target for recording in recordings]
    missing = torch.full((len(shown),), float("nan"))
    if any(image is None for image in images):
        return FrameScores(right, missing, missing)
    true = torch.from_numpy(np.stack([i for i in images if i is not None]).astype(np.float32) / 255)
    return FrameScores(right, mean_squared_error(shown, true), structural_similarity(shown, true))
