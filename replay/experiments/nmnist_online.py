"""``streamvdib reproduce nmnist-online``: learning N-MNIST from random weights while it streams.

Batch 1, one stream, ten passes over 1,000 recordings: each is decoded and scored by LeNet before
the update at its end. Nothing is set aside; the score is always of what comes next.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from streamvdib.engine import Engine
from streamvdib.learning.build import make_learner
from streamvdib.model import new_model, save_model

from ..datasets.opening import open_dataset
from .figures import draw_lines
from .lenet import load_lenet, predictions
from .nmnist_examples import pack_recordings
from .progressive import present, running_means
from .reports import Say, markdown_table, write_report

STRETCH = 500  # presentations per point of the curve
UPDATE_EVERY = 32  # steps: the length of a recording


def reproduce_nmnist_online(
    folder: Path, out: Path, *, estimator: str, learning_rate: float, passes: int,
    limit: int | None, seed: int, command: str, say: Say,
) -> None:  # fmt: skip
    """Stream, score, learn, and write the report."""
    digits = pack_recordings(_recordings(folder, limit))
    model = new_model(description(), seed)
    learner = make_learner(
        model, estimator, update_every=UPDATE_EVERY, learning_rate=learning_rate, seed=seed
    )
    engine = Engine(model, None, learner=learner, seed=seed)
    lenet = load_lenet()
    right: list[float] = []
    errors: list[float] = []
    nats: list[tuple[float, float]] = []
    began = time.monotonic()
    for shown in present(
        engine, learner, digits.steps, digits.digits.images, passes=passes, seed=seed
    ):
        frame = torch.from_numpy(shown.frame.pixels)
        label = int(digits.digits.labels[shown.recording])
        right.append(float(int(predictions(lenet, frame)[0]) == label))
        true = digits.digits.images[shown.recording] / 255.0
        errors.append(float(np.square(shown.frame.pixels[0] - true).mean()))
        now = learner.metrics()
        nats.append((now["decoder_nats"], now["information_nats_per_step"]))
        if (shown.number + 1) % STRETCH == 0:
            say(f"{shown.number + 1:6} {shown.seconds:.0f} s: {np.mean(right[-STRETCH:]):.3f}")
    seconds = time.monotonic() - began
    out.mkdir(parents=True, exist_ok=True)
    save_model(engine.model, out / "model.safetensors", half=True)
    result = _result(right, errors, nats, seconds, len(digits.digits))
    _report(out, result, estimator, learning_rate, passes, seed, command)


def _recordings(folder: Path, limit: int | None) -> Any:
    from dataclasses import replace

    data_set = open_dataset(folder, layout="nmnist")
    return replace(data_set, recordings=list(data_set.recordings)[:limit])


def _result(
    right: list[float], errors: list[float], nats: list[tuple[float, float]],
    seconds: float, n_recordings: int,
) -> dict[str, Any]:  # fmt: skip
    accuracy, error = np.array(right), np.array(errors)
    return {
        "presentations": len(right),
        "recordings": n_recordings,
        "seconds": seconds,
        "accuracy_first_pass": float(accuracy[:n_recordings].mean()),
        "accuracy_last_1000": float(accuracy[-1000:].mean()),
        "mse_last_1000": float(error[-1000:].mean()),
        "accuracy_curve": running_means(accuracy, STRETCH),
        "mse_curve": running_means(error, STRETCH),
        "decoder_nats_curve": running_means(np.array([d for d, _ in nats]), STRETCH),
        "information_curve": running_means(np.array([i for _, i in nats]), STRETCH),
    }


def _report(
    out: Path, result: dict[str, Any], estimator: str, learning_rate: float, passes: int, seed: int,
    command: str,
) -> None:  # fmt: skip
    rows = [
        [f"{end:,}", f"{100 * accuracy:.1f}", f"{mse:.4f}", f"{nats:.1f}", f"{information:.1f}"]
        for (end, accuracy), (_, mse), (_, nats), (_, information) in zip(
            result["accuracy_curve"], result["mse_curve"], result["decoder_nats_curve"],
            result["information_curve"], strict=True,
        )
    ]  # fmt: skip
    header = ["after", "LeNet accuracy %", "MSE", "decoder nats", "KL nats per step"]
    rate = result["presentations"] / result["seconds"]
    body = (
        f"{passes} passes over {result['recordings']:,} real recordings in one stream of batch 1, "
        f"estimator {estimator}, Adam {learning_rate:g}, one update at the end of each recording, "
        f"seed {seed}. Every recording is scored before it is learned from. "
        f"{result['seconds']:.0f} s on one CPU core ({rate:.0f} recordings of 320 ms per "
        f"second).\n\n"
        f"* first pass (no recording seen before): {100 * result['accuracy_first_pass']:.1f} %\n"
        f"* last 1,000 presentations: {100 * result['accuracy_last_1000']:.1f} %\n\n"
        f"Each line is the mean over the {STRETCH} presentations before it.\n\n"
        f"{markdown_table(header, rows)}\n\n![curve](nmnist-online.png)"
    )
    numbers = {"seed": seed, "estimator": estimator, "learning_rate": learning_rate} | result
    write_report(out, "nmnist-online", "N-MNIST, learned while it streams", body, numbers, command)
    ends = [end for end, _ in result["accuracy_curve"]]
    lines = {estimator: (ends, [100 * a for _, a in result["accuracy_curve"]])}
    draw_lines(
        out / "nmnist-online.png", lines, "recordings shown", "LeNet accuracy before learning, %"
    )


def description() -> dict[str, Any]:
    """A network small enough to learn faster than real time on one core."""
    return {
        "name": "nmnist-online",
        "dt_us": 10_000,
        "input_shape": [2, 34, 34],
        "layers": [
            {
                "connection": {"kind": "dense", "n_neurons": 256},
                "neuron": {
                    "kind": "srm", "surrogate": "superspike",
                    "response": {"kind": "exponential", "decay": 0.8, "tau_e": 15},
                    "feedback": {"kind": "exponential", "decay": 0.65, "tau_e": 10},
                },
            },
            {
                "connection": {"kind": "dense", "n_neurons": 128},
                "neuron": {
                    "kind": "srm", "stochastic": True, "learns_feedback": True,
                    "response": {"kind": "exponential", "decay": 0.7, "tau_e": 10},
                    "feedback": {"kind": "raised_cosines", "n_basis": 1, "tau_e": 10},
                },
            },
        ],
        "decoder": {"kind": "mlp", "tau_d": 31, "output_shape": [28, 28], "n_hidden": 256},
    }  # fmt: skip
