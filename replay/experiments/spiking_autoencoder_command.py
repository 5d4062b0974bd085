"""The arguments of ``streamvdib reproduce spiking-autoencoder``."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from streamvdib.commands.options import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The experiment's arguments."""
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with mnist/ and fashion_mnist/"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/spiking-autoencoder"))
    parser.add_argument("--only", nargs="+", metavar="RUN", help="these runs (all)")
    parser.add_argument("--again", action="store_true", help="also runs that are done")
    parser.add_argument("--report", action="store_true", help="only report what is done")
    parser.add_argument("--threads", type=counted, default=1, help="of the processor (%(default)s)")


def execute(arguments: argparse.Namespace) -> int:
    """Train and score what is not done, then write the report."""
    import torch

    from streamvdib.errors import ConfigurationError

    from .spiking_autoencoder_files import finished, perform
    from .spiking_autoencoder_report import write_autoencoder_report
    from .spiking_autoencoder_runs import RUNS

    torch.set_num_threads(arguments.threads)
    chosen = [] if arguments.report else arguments.only or list(RUNS)
    if unknown := sorted(set(chosen) - set(RUNS)):
        raise ConfigurationError(
            f"--only must be among {', '.join(RUNS)}; got {', '.join(unknown)}"
        )
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in chosen:
        if arguments.again or finished(RUNS[name], arguments.out) is None:
            perform(RUNS[name], arguments.data, arguments.out)
    twins = _twins(arguments.data, arguments.out, train=not arguments.report)
    done = {name: finished(run, arguments.out) for name, run in RUNS.items()}
    results = {name: result for name, result in done.items() if result is not None}
    command = "streamvdib reproduce spiking-autoencoder --data DATA"
    write_autoencoder_report(results, twins, arguments.data, arguments.out, command)
    return 0


def _twins(data: Path, out: Path, *, train: bool) -> list[dict[str, Any]]:
    """The ANN twins' results, kept in ``out/runs/twins.json``; ``train``: also those not done."""
    path = out / "runs" / "twins.json"
    twins: list[dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else []
    if not train:
        return twins
    from .spiking_autoencoder_ann import ANN_RUNS, score_twin, train_twin
    from .spiking_autoencoder_files import read_pixels

    path.parent.mkdir(parents=True, exist_ok=True)
    done = {twin["name"] for twin in twins}
    for run in ANN_RUNS:
        if run.name in done:
            continue
        began = time.perf_counter()
        network, curve = train_twin(run, read_pixels(data, run.dataset, "train"))
        seconds = round(time.perf_counter() - began, 1)
        mse = score_twin(network, read_pixels(data, run.dataset, "t10k"))
        print(f"{run.name}: test MSE {mse:.4f}, {seconds} s", flush=True)  # noqa: T201 - progress
        points = [[number, round(value, 5)] for number, value in curve]
        twins.append(asdict(run) | {"mse": mse, "train_seconds": seconds, "curve": points})
        path.write_text(json.dumps(twins) + "\n")
    return twins
