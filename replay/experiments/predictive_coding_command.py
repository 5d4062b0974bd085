"""The arguments of ``streamvdib reproduce predictive-coding``."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamvdib.commands.options import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The experiment's arguments."""
    parser.add_argument("--out", type=Path, default=Path("runs/predictive-coding"))
    parser.add_argument("--sequences", type=counted, default=6_000, help="of T = 100, per trial")
    parser.add_argument("--trials", type=counted, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=counted, default=1, help="of the processor (%(default)s)")


def execute(arguments: argparse.Namespace) -> int:
    """Run every sweep and write the report."""
    import torch
    from rich.console import Console

    from .predictive_coding import Effort, reproduce_predictive_coding

    torch.set_num_threads(arguments.threads)
    command = (
        f"streamvdib reproduce predictive-coding --sequences {arguments.sequences} "
        f"--trials {arguments.trials} --seed {arguments.seed}"
    )
    reproduce_predictive_coding(
        arguments.out, Effort(arguments.sequences, arguments.trials), seed=arguments.seed,
        command=command, say=Console().print,
    )  # fmt: skip
    return 0
