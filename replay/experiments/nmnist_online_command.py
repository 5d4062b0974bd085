"""The arguments of ``streamvdib reproduce nmnist-online``."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamvdib.commands.options import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The experiment's arguments."""
    parser.add_argument("--nmnist", type=Path, required=True, help="folder, MNIST beside it")
    parser.add_argument("--out", type=Path, default=Path("runs/nmnist-online"))
    parser.add_argument("--estimator", default="pathwise", help="pathwise or score")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--passes", type=counted, default=10)
    parser.add_argument("--limit", type=int, help="use only so many recordings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=counted, default=1, help="of the processor (%(default)s)")


def execute(arguments: argparse.Namespace) -> int:
    """Stream, score, learn, report."""
    import torch
    from rich.console import Console

    from streamvdib.learning.fused import keep_freed_memory

    from .nmnist_online import reproduce_nmnist_online

    keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    command = (
        f"streamvdib reproduce nmnist-online --nmnist NMNIST --estimator {arguments.estimator} "
        f"--learning-rate {arguments.learning_rate:g} --passes {arguments.passes} "
        f"--seed {arguments.seed}"
    )
    reproduce_nmnist_online(
        arguments.nmnist, arguments.out, estimator=arguments.estimator,
        learning_rate=arguments.learning_rate, passes=arguments.passes, limit=arguments.limit,
        seed=arguments.seed, command=command, say=Console().print,
    )  # fmt: skip
    return 0
