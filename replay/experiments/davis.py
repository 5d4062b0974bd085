"""A DAVIS camera that teaches itself: events between two APS frames predict the second one.

    estimate = (last + eps) exp(correction(window, last)) - eps

``last`` is the APS frame shown last; the correction, in the log domain in which the pixels work, is
decoded from the readout spikes of the events since then. Encoder and decoder begin with random
weights (the correction with zero) and learn from each APS frame right after it was scored.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn
from torch.nn import functional

from streamvdib.decoders import DecoderShape
from streamvdib.description import build_encoder
from streamvdib.engine import Engine
from streamvdib.events import EventArray, SensorSize, TimedImage
from streamvdib.input_steps import InputSteps, input_steps
from streamvdib.learning.build import make_learner
from streamvdib.learning.targets import FixedTarget
from streamvdib.likelihoods import Gaussian
from streamvdib.model import Model
from streamvdib.sources import open_source

EPS = 0.02  # of intensities from 0 to 1: what the log does not see
GAIN = 10.0  # initial weight of an event of the channel's own polarity
QUIET = -6.0  # initial bias: a spike in 400 steps without an event
Image = npt.NDArray[np.float32]


class LogCorrection(nn.Module):
    """A weight per spike, and a small network that sees 3 x 3 pixels of counts and the last frame.

    Only pixels with a spike in the window are corrected, and only they are computed.
    """

    last: Tensor

    def __init__(self, tau_d: int, channels: int, size: SensorSize, n_hidden: int = 16) -> None:
        super().__init__()
        self.size, self.channels = size, channels
        self.direct = nn.Parameter(torch.zeros(tau_d * channels))
        self.mix = nn.Linear(9 * (channels + 1), n_hidden)
        self.correct = nn.Linear(n_hidden, 1)
        nn.init.zeros_(self.correct.weight)
        nn.init.zeros_(self.correct.bias)
        self.register_buffer("last", torch.zeros(size.height, size.width))

    def forward(self, window: Tensor) -> Tensor:
        """(n, tau_d, channels * height * width) into (n, height, width)."""
        n, (width, height) = len(window), self.size
        maps = window.reshape(n, -1, height, width)
        counts = maps.view(n, -1, self.channels, height, width).sum(1)
        image, row, column = counts.detach().amax(1).nonzero(as_tuple=True)
        patches = self._patches(counts, image, row, column)
        hidden = functional.relu(self.mix(patches))
        correction = self.correct(hidden)[:, 0] + maps[image, :, row, column] @ self.direct
        bright = (self.last[row, column] + EPS) * torch.exp(correction) - EPS
        still = self.last.expand(n, height, width)
        # a pixel is at most white
        return still.index_put((image, row, column), bright.clamp(0.0, 1.0))

    def _patches(self, counts: Tensor, image: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Counts and log of the last frame in 3 x 3 pixels about each place, (n_places, 27)."""
        around = torch.arange(3, device=row.device)
        rows = (row[:, None] + around)[:, :, None]
        columns = (column[:, None] + around)[:, None, :]
        padded = functional.pad(counts, (1, 1, 1, 1))
        near = padded[image[:, None, None], :, rows, columns]
        last = functional.pad(self.last, (1, 1, 1, 1), value=1.0 - EPS)  # outside: a log of 0
        level = torch.log(last[rows, columns] + EPS)
        return torch.cat((near, level[..., None]), 3).flatten(1)


@dataclass(frozen=True)
class Interval:
    """What lies between two APS frames."""

    inputs: InputSteps
    counts: Image  # ON minus OFF events of each pixel
    seen: npt.NDArray[np.bool_]  # where events fell
    near: npt.NDArray[np.bool_]  # there and in the eight pixels around
    before: Image  # the frame at the interval's start, 0 to 1
    after: Image  # the frame at its end


@dataclass(frozen=True)
class Davis:
    """A recording with frames, cut at its frames."""

    size: SensorSize
    dt_us: int
    intervals: Sequence[Interval]


def read_davis(path: Path, steps_per_frame: int) -> Davis:
    """All intervals of a recording whose frames come at a steady rate."""
    source = open_source(str(path))
    parts, images = [], []
    for packet in source:
        parts.append(packet.events)
        images += list(packet.images)
    source.close()
    events = np.concatenate(parts)
    period = int(np.median(np.diff([image.t_us for image in images])))
    dt_us = period // steps_per_frame
    size = source.sensor_size
    intervals = [
        cut_interval(events, before, after, size, dt_us, steps_per_frame)
        for before, after in pairwise(images)
    ]
    return Davis(size, dt_us, intervals)


def cut_interval(
    events: EventArray, before: TimedImage, after: TimedImage, size: SensorSize, dt_us: int,
    n_steps: int,
) -> Interval:  # fmt: skip
    """The events from one frame to the next, as ``n_steps`` steps and as counts per pixel."""
    inside = events[(events["t_us"] >= before.t_us) & (events["t_us"] < after.t_us)].copy()
    counts = np.zeros((size.height, size.width), np.float32)
    np.add.at(counts, (inside["y"], inside["x"]), np.where(inside["on"], 1.0, -1.0))
    seen = np.zeros(counts.shape, bool)
    seen[inside["y"], inside["x"]] = True
    padded = np.pad(seen, 1)
    near: npt.NDArray[np.bool_] = np.any(sliding_window_view(padded, (3, 3)), (2, 3))
    inside["t_us"] -= before.t_us
    inside["t_us"] = np.minimum(inside["t_us"], n_steps * dt_us - 1)
    return Interval(
        _steps(inside, size, dt_us, n_steps), counts, seen, near,
        _intensities(before), _intensities(after),
    )  # fmt: skip


def _intensities(image: TimedImage) -> Image:
    return image.pixels.astype(np.float32) / np.float32(255)


def _steps(events: EventArray, size: SensorSize, dt_us: int, n_steps: int) -> InputSteps:
    """The interval's steps from its very start, silent ones included."""
    spikes = np.zeros((n_steps, 2, size.height, size.width), np.uint8)
    spikes[events["t_us"] // dt_us, events["on"].astype(np.int64), events["y"], events["x"]] = 1
    return input_steps(spikes.reshape(n_steps, 1, -1), dt_us=dt_us)


def davis_model(size: SensorSize, dt_us: int, tau_d: int, channels: int, seed: int) -> Model:
    """One spiking layer of 1 x 1 convolutions, so that weights are shared by all pixels."""
    description = {
        "name": "davis",
        "dt_us": dt_us,
        "input_shape": [2, size.height, size.width],
        "layers": [
            {
                "connection": {"kind": "convolution", "channels": channels, "kernel": 1,
                               "padding": 0},
                "neuron": {
                    "kind": "srm", "stochastic": True,
                    "response": {"kind": "finite", "kernels": [[1.0]]},
                    "feedback": {"kind": "finite", "kernels": [[0.0]]},
                },
            }
        ],
        "decoder": {"kind": "log-correction", "tau_d": tau_d,
                    "output_shape": [size.height, size.width]},
    }  # fmt: skip
    encoder = build_encoder(description)
    (first,) = encoder.initial_weights(torch.Generator().manual_seed(seed))
    synapses = torch.zeros_like(first.synapses)  # (1, channels, 2, 1, 1)
    for channel in range(channels):
        synapses[0, channel, channel % 2] = GAIN
    quiet = torch.full_like(first.bias, QUIET)
    weights = (replace(first, synapses=synapses, bias=quiet),)
    shape = DecoderShape(tau_d, encoder.layer_shapes[-1], (size.height, size.width))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = LogCorrection(tau_d, channels, size)
    return Model(description, encoder, weights, decoder, shape, Gaussian(0.05))


def teach(
    davis: Davis, *, loops: int, channels: int, learning_rate: float, decoder_learning_rate: float,
    beta: float, prior_rate: float, seed: int,
) -> Iterator[tuple[Interval, Image, float]]:  # fmt: skip
    """Each interval's estimate, made before its frame is shown; learns right after the yield.

    Yields:
        The interval, the estimate (height, width), and the seconds that decoding it and learning
        from the interval before took.
    """
    tau_d = davis.intervals[0].inputs.n_steps
    model = davis_model(davis.size, davis.dt_us, tau_d, channels, seed)
    learner = make_learner(
        model, update_every=tau_d, learning_rate=learning_rate,
        decoder_learning_rate=decoder_learning_rate, beta=beta,
        prior={"kind": "bernoulli", "rate": prior_rate}, largest_norm=0.0, seed=seed,
    )  # fmt: skip
    engine = Engine(model, None, decode_every=tau_d, learner=learner, seed=seed)
    assert isinstance(model.decoder, LogCorrection)
    for _ in range(loops):
        for interval in davis.intervals:
            began = time.perf_counter()
            model.decoder.last.copy_(torch.from_numpy(interval.before))
            engine.targets = FixedTarget(interval.after)
            inputs = replace(interval.inputs, first_step=engine.step)
            frames = engine.run(inputs)
            frame = next(frames)
            decoding = time.perf_counter() - began
            estimate = np.clip(frame.pixels[0], 0.0, 1.0)
            began = time.perf_counter()
            for _ in frames:
                raise AssertionError("one frame per interval")
            yield interval, estimate, decoding + time.perf_counter() - began


class Baselines:
    """Running mean image, last frame held, last frame times exp(c * signed event count)."""

    def __init__(self) -> None:
        self.mean: Image | None = None
        self.n_frames = 0
        self._products = self._squares = 0.0

    @property
    def contrast(self) -> float:
        """The c of the integrator, fitted to all frames so far by least squares in the log."""
        return self._products / self._squares if self._squares else 0.0

    def estimates(self, interval: Interval) -> dict[str, Image]:
        """By name, before the interval's frame is shown."""
        mean = interval.before if self.mean is None else self.mean
        integrated = (interval.before + EPS) * np.exp(self.contrast * interval.counts) - EPS
        return {
            "running mean image": mean,
            "last frame held": interval.before,
            "fitted integrator": np.clip(integrated, 0.0, 1.0),
        }

    def show(self, interval: Interval) -> None:
        """Learn from the interval's frame."""
        self.n_frames += 1
        before = interval.before if self.mean is None else self.mean
        self.mean = before + (interval.after - before) / np.float32(self.n_frames)
        change = np.log((interval.after + EPS) / (interval.before + EPS))[interval.seen]
        counts = interval.counts[interval.seen]
        self._products += float((change * counts).sum())
        self._squares += float((counts * counts).sum())


def summarize(errors: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean squared errors by method: all pixels, near events, and on event pixels (pooled)."""
    names = [name for name in errors[0] if name not in ("loop", "n_seen", "seconds")]
    n_seen = np.array([e["n_seen"] for e in errors])
    return {
        name: {
            "all": float(np.mean([e[name][0] for e in errors])),
            "near_events": float(np.mean([e[name][2] for e in errors if e["n_seen"]])),
            "event_pixels": float(np.sum([e[name][1] for e in errors]) / n_seen.sum()),
        }
        for name in names
    }


def score(estimate: Image, interval: Interval) -> tuple[float, float, float]:
    """Mean squared error over all pixels, sum of squares on event pixels, mean near events."""
    squares = np.square(estimate - interval.after)
    near = squares[interval.near]
    return (
        float(squares.mean()),
        float(squares[interval.seen].sum()),
        float(near.mean()) if near.size else 0.0,
    )
