"""The arguments of ``streamvdib reproduce lenet``."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamvdib.commands.options import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The experiment's arguments."""
    parser.add_argument("--mnist", type=Path, required=True, help="folder of the MNIST IDX files")
    parser.add_argument("--out", type=Path, default=Path("runs/lenet"))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=counted, default=1, help="of the processor (%(default)s)")


def execute(arguments: argparse.Namespace) -> int:
    """Train, score, write."""
    import torch
    from rich.console import Console

    from .lenet_training import reproduce_lenet

    torch.set_num_threads(arguments.threads)
    card = reproduce_lenet(
        arguments.mnist, arguments.out, epochs=arguments.epochs, seed=arguments.seed
    )
    Console().print(card)
    return 0
