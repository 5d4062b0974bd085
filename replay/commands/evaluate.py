"""``streamvdib evaluate DATASET``: score the frames of a data set's recordings."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..experiments.evaluation import Evaluation

TIMES_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    from streamvdib.commands.options import add_model_arguments

    parser.add_argument("dataset", metavar="DATASET", help="folder of recordings")
    parser.add_argument("--split", default="validation", help="train, validation or test")
    parser.add_argument("--layout", help="of the folder, instead of recognising it")
    parser.add_argument("--images", help="folder with the images that were shown (MNIST)")
    parser.add_argument("--limit", type=int, help="score only so many recordings")
    parser.add_argument("--json", type=Path, help="also write the scores there")
    add_model_arguments(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Decode, score, print a table."""
    import torch
    from rich.progress import track

    from streamvdib.commands.options import load_chosen_model
    from streamvdib.geometry import fit_geometry

    from ..datasets.opening import open_dataset
    from ..experiments.evaluation import evaluate
    from ..experiments.lenet import load_lenet

    torch.set_num_threads(1)
    model = load_chosen_model(arguments)
    data_set = open_dataset(arguments.dataset, layout=arguments.layout, images=arguments.images)
    recordings = data_set.split(arguments.split).recordings[: arguments.limit]
    geometry = fit_geometry(
        data_set.sensor_size, model.encoder.input_shape, crop=arguments.crop,
        downsample=arguments.downsample,
    )  # fmt: skip
    ticks = iter(track(range(len(recordings)), description="decoding"))
    evaluation = evaluate(
        model, geometry, recordings, load_lenet(), seed=arguments.seed,
        backend=arguments.backend, done=lambda _: next(ticks, None),
    )  # fmt: skip
    next(ticks, None)
    _print(evaluation, f"{model.name} on {arguments.split} of {arguments.dataset}")
    if arguments.json:
        arguments.json.write_text(json.dumps(evaluation.as_table(), indent=1) + "\n", "utf-8")
    return 0


def _print(evaluation: Evaluation, title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{title}: {evaluation.n_recordings} recordings")
    for name in ("time since start", "recordings", "LeNet accuracy", "MSE", "SSIM"):
        table.add_column(name, justify="right")
    every = max(1, len(evaluation.by_time) // TIMES_SHOWN)
    for row in evaluation.by_time[every - 1 :: every]:
        table.add_row(f"{row['time_ms']:.0f} ms", f"{row['n']:.0f}", *_cells(row))
    table.add_section()
    table.add_row("last frame", str(evaluation.n_recordings), *_cells(evaluation.last))
    console = Console()
    console.print(table)
    console.print(f"readout spikes per step: {evaluation.spikes_per_step:.1f}")


def _cells(scores: dict[str, float]) -> list[str]:
    return [
        f"{100 * scores['accuracy']:.1f} %",
        f"{scores['mse']:.4f}" if "mse" in scores else "-",
        f"{scores['ssim']:.3f}" if "ssim" in scores else "-",
    ]
