"""The report of the spiking-autoencoder experiment: tables, numbers and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .figures import draw_lines
from .montage import write_montage
from .reports import markdown_table, write_report
from .spiking_autoencoder_files import read_pixels, read_weights
from .spiking_autoencoder_runs import RUNS, STUDY_BATCHES, Run
from .spiking_autoencoder_training import dense_network, poisson_steps

Results = Mapping[str, dict[str, Any]]
SMOOTHED = 10  # batches that a curve's point averages
WHAT_IT_IS = """\
MSE is the paper's: the output's spike counts against the image, both brought to mean 0 and
variance 1 image by image, averaged over all 10,000 test images. The paper does not say whether
it normalises image by image or a whole batch; "MSE, whole" normalises all test images together.
"Spike-MSE" is against the input's spike counts, "input" is the MSE of the input's spike counts
against the image, the coding's own noise. The paper does not name the initial weights: "paper"
runs take those of torch's Linear (uniform, without bias), "mnist-better" and "fashion-512-he"
He's normal ones and a learning rate that falls linearly to 2 %. "fashion-512-better" and
"fashion-1024-better" keep the hidden layer's random weights, balanced so that every neuron gets
the same current on the mean image; the readout learns by the rule, at 1e-3 falling to 2 %. In
"fashion-512-learning" and "fashion-1024-learning" the hidden layer learns too, at a hundredth of
that rate and without the mean image's direction in its gradient (keeps_mean_current). One
pass over the 60,000 training images in every run of the first table; seconds are of one thread
on a machine that others used at the same time."""


def write_autoencoder_report(
    results: Results, twins: Sequence[dict[str, Any]], data: Path, out: Path, command: str
) -> None:
    """Write ``spiking-autoencoder.md``, ``.json`` and the figures of what has been run."""
    parts = [WHAT_IT_IS, "## Spiking autoencoders\n", _snn_table(results)]
    if twins:
        parts += ["## ANN twins\n", _ann_table(twins)]
    parts += [
        f"## Studies (Fig. 3), MNIST, the last 20 of {STUDY_BATCHES} batches while training\n",
        _study_table(results),
    ]
    parts += [f"![{name}]({name})" for name in _draw_curves(results, twins, out)]
    rows = _draw_images(results, data, out)
    if rows:
        parts.append(f"Test images and what came back; rows: {', '.join(rows)}.")
        parts.append("![images.png](images.png)")
    numbers = {
        "spiking": [_without_curve(result) for result in results.values()],
        "twins": [_without_curve(result) for result in twins],
    }
    write_report(
        out,
        "spiking-autoencoder",
        "Spiking autoencoders",
        "\n\n".join(parts),
        numbers,
        command,
    )


def _without_curve(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != "curve"}


def _snn_table(results: Results) -> str:
    header = (
        "run", "T train / test", "batches", "MSE", "paper", "MSE, whole", "Spike-MSE", "input",
        "s",
    )  # fmt: skip
    rows = []
    for name, run in RUNS.items():
        if name in results and run.paper_mse is not None:
            scores, settings = results[name]["scores"], results[name]["settings"]
            rows.append(
                (
                    name,
                    f"{settings['n_steps']} / {settings['n_test_steps'] or settings['n_steps']}",
                    str(results[name]["n_batches"]),
                    f"**{scores['mse']:.4f}**",
                    f"{run.paper_mse:.3f}",
                    f"{scores['mse_whole']:.4f}",
                    f"{scores['spike_mse']:.4f}",
                    f"{scores['input_mse']:.4f}",
                    f"{results[name]['train_seconds']:.0f}",
                )
            )
    return markdown_table(header, rows)


def _ann_table(twins: Sequence[dict[str, Any]]) -> str:
    rows = [
        (
            twin["name"],
            "Adam" if twin["adam"] else "SGD",
            f"{twin['learning_rate']:g}",
            f"**{twin['mse']:.4f}**",
            f"{twin['paper_mse']:.3f}",
        )
        for twin in twins
    ]
    return markdown_table(("run", "method", "rate", "MSE", "paper"), rows)


def _study_table(results: Results) -> str:
    rows = []
    for name, run in RUNS.items():
        if name in results and run.n_batches is not None:
            last = np.array(results[name]["curve"])[-20:]
            rows.append((name, run.figure, f"{last[:, 2].mean():.4f}", f"{last[:, 1].mean():.4f}"))
    return markdown_table(("run", "figure", "Spike-MSE", "MSE"), rows)


def _smooth(curve: Sequence[Sequence[float]], column: int) -> tuple[list[float], list[float]]:
    values = np.array([[row[0], row[column]] for row in curve], dtype=np.float64)
    n_points = len(values) // SMOOTHED
    means = values[: n_points * SMOOTHED].reshape(n_points, SMOOTHED, 2).mean(1)
    return means[:, 0].tolist(), means[:, 1].tolist()


def _draw_curves(results: Results, twins: Sequence[dict[str, Any]], out: Path) -> list[str]:
    drawn = []
    for figure, column, label in (
        ("3a", 2, "Spike-MSE"), ("3b", 2, "Spike-MSE"), ("3c", 1, "MSE"), ("4", 1, "MSE"),
        ("5", 1, "MSE"),
    ):  # fmt: skip
        also = {"3b": ["leak-0.1"], "3c": ["leak-0.1"]}.get(figure, [])
        lines = {
            name: _smooth(results[name]["curve"], column)
            for name, run in RUNS.items()
            if name in results and (run.figure == figure or name in also) and run.settings.seed == 0
        }
        dataset = {"4": "mnist", "5": "fashion_mnist"}.get(figure)
        ann = {twin["name"]: twin["curve"] for twin in twins if twin["dataset"] == dataset}
        lines |= {name: _smooth(curve, 1) for name, curve in ann.items()}
        if lines:
            name = f"figure-{figure}.png"
            label = f"{label} while training"
            draw_lines(out / name, lines, "batch", label, log_y=bool(ann), dashed=ann)
            drawn.append(name)
    return drawn


def _draw_images(results: Results, data: Path, out: Path) -> list[str]:
    """The first test images as they go in (a row per data set) and come out (a row per run).

    Returns:
        What the rows are.
    """
    rows: dict[str, Any] = {}
    for name, run in RUNS.items():
        weights_file = out / "runs" / f"{name}.safetensors"
        if name in results and run.paper_mse is not None and weights_file.is_file():
            images = read_pixels(data, run.dataset, "t10k")[:20]
            rows[run.dataset] = images.numpy()
            rows[name] = regenerated(run, weights_file, images).numpy()
    if not rows:
        return []
    write_montage(out / "images.png", list(rows.values()), (28, 28), scale=2)
    return list(rows)


def regenerated(run: Run, weights_file: Path, images: torch.Tensor) -> torch.Tensor:
    """Output spike counts per step, (n, n_pixels)."""
    settings = run.settings
    n_steps = settings.n_test_steps or settings.n_steps
    encoder = dense_network((images.shape[1], settings.n_hidden, images.shape[1]), settings.leak)
    weights, state = read_weights(weights_file), encoder.initial_state(len(images))
    counted = torch.zeros_like(images)
    keys = torch.zeros(len(images), dtype=torch.int64)
    generator = torch.Generator().manual_seed(7)
    for spikes in poisson_steps(images * settings.max_rate, n_steps, generator):
        state = encoder.step(weights, spikes, state, keys)
        counted += state.layers[-1].spikes
    return counted / n_steps
