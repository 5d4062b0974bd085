"""Results of single runs as files, so that an experiment can be stopped and gone on with."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from streamvdib.encoder import LayerWeights, Weights
from streamvdib.learning.membrane_potential import MembranePotentialSettings

from ..datasets.idx import find_idx, read_images, read_labels
from .spiking_autoencoder_runs import Run
from .spiking_autoencoder_training import AutoencoderSettings, score, train

STUDY_TEST_IMAGES = 1_000


def read_pixels(data: Path, dataset: str, part: str) -> Tensor:
    """Images of "train" or "t10k" from the folder of a data set, (n, 784) in [0, 1]."""
    images = read_images(find_idx(data / dataset, f"{part}-images-idx3-ubyte"))
    return torch.from_numpy(images.reshape(len(images), -1).astype(np.float32) / 255.0)


def read_classes(data: Path, dataset: str, part: str) -> Tensor:
    """Labels of "train" or "t10k", int64, (n,)."""
    labels = read_labels(find_idx(data / dataset, f"{part}-labels-idx1-ubyte"))
    return torch.from_numpy(labels.astype(np.int64))


def perform(run: Run, data: Path, out: Path) -> dict[str, Any]:
    """Train, score, and write ``<out>/runs/<name>.json`` and the weights.

    Scored on all test images; studies, which are compared while they train, on the first 1,000.
    """
    began = time.perf_counter()

    def say(text: str) -> None:
        elapsed = time.perf_counter() - began
        print(f"{run.name}: {text}, {elapsed:.0f} s", flush=True)  # noqa: T201 - progress

    progress_file = out / "runs" / f"{run.name}.progress.safetensors"
    images = read_pixels(data, run.dataset, "train")
    trained = train(
        images, run.settings, n_batches=run.n_batches, say=say, progress_file=progress_file
    )
    n_test = None if run.n_batches is None else STUDY_TEST_IMAGES
    scores = asdict(score(trained, read_pixels(data, run.dataset, "t10k")[:n_test]))
    say(f"test MSE {scores['mse']:.4f}")
    result = {
        "name": run.name,
        "dataset": run.dataset,
        "settings": asdict(run.settings),
        "n_batches": len(trained.curve),
        "scores": scores,
        "paper_mse": run.paper_mse,
        "figure": run.figure,
        "train_seconds": round(trained.seconds, 1),
        "curve": [[n, round(mse, 5), round(spike, 5)] for n, mse, spike in trained.curve],
        "torch": torch.__version__,
        "processor": platform.machine(),
    }
    folder = out / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(trained.weights, folder / f"{run.name}.safetensors")
    (folder / f"{run.name}.json").write_text(json.dumps(result) + "\n")
    progress_file.unlink(missing_ok=True)
    return result


def finished(run: Run, out: Path) -> dict[str, Any] | None:
    """What ``perform`` wrote before, if it was with the same settings."""
    path = out / "runs" / f"{run.name}.json"
    if not path.is_file():
        return None
    result: dict[str, Any] = json.loads(path.read_text())
    return result if settings_of(result) == run.settings else None


def settings_of(result: Mapping[str, Any]) -> AutoencoderSettings:
    """The settings that a result names; one that it is older than has its default."""
    given = dict(result["settings"])
    return AutoencoderSettings(**given | {"rule": MembranePotentialSettings(**given["rule"])})


def write_weights(weights: Weights, path: Path) -> None:
    """Synapses of every layer as float16; biases and feedback are zero in these networks."""
    save_file(
        {f"synapses.{k}": layer.synapses.half().contiguous() for k, layer in enumerate(weights)},
        path,
    )


def read_weights(path: Path) -> Weights:
    """What ``write_weights`` wrote."""
    tensors = load_file(path)
    weights = []
    for index in range(len(tensors)):
        synapses = tensors[f"synapses.{index}"].float()
        zeros = torch.zeros(synapses.shape[2])
        weights.append(LayerWeights(synapses, zeros, zeros.clone()))
    return tuple(weights)
