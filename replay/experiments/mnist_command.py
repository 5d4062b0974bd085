"""The arguments of ``streamvdib reproduce mnist``."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

from streamvdib.commands.options import counted

ENCODINGS = ["rate", "ttfs"]
DECODINGS = ["window", "rate"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The experiment's arguments."""
    parser.add_argument("--mnist", type=Path, required=True, help="folder of the MNIST IDX files")
    parser.add_argument("--out", type=Path, default=Path("runs/mnist"))
    parser.add_argument("--examples", type=counted, default=100_000, help="of pathwise")
    parser.add_argument("--score-examples", type=int, default=20_000, help="of score")
    parser.add_argument(
        "--paper-examples", type=int, default=3_000,
        help="of score in the paper's settings (batch 1; 0: leave it out)",
    )  # fmt: skip
    parser.add_argument(
        "--methods", nargs="*", choices=["pathwise", "score"], default=["pathwise", "score"]
    )
    parser.add_argument("--encodings", nargs="+", choices=ENCODINGS, default=ENCODINGS)
    parser.add_argument(
        "--decodings", nargs="+", choices=DECODINGS, default=DECODINGS, help="window is VDIB's"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=counted, default=1, help="of the processor (%(default)s)")


def execute(arguments: argparse.Namespace) -> int:
    """Train and score every cell of the table, then write the report."""
    import torch
    from rich.console import Console

    from .mnist import Run, reproduce_mnist

    torch.set_num_threads(arguments.threads)
    cells = itertools.product(arguments.methods, arguments.encodings, arguments.decodings)
    n_examples = {"pathwise": arguments.examples, "score": arguments.score_examples}
    runs = [Run(encoding, view, method, n_examples[method]) for method, encoding, view in cells]
    if arguments.paper_examples:
        runs += [
            Run(encoding, "window", "score-paper", arguments.paper_examples)
            for encoding in arguments.encodings
        ]
    command = (
        f"streamvdib reproduce mnist --mnist MNIST --examples {arguments.examples} "
        f"--score-examples {arguments.score_examples} "
        f"--paper-examples {arguments.paper_examples} --methods {' '.join(arguments.methods)} "
        f"--encodings {' '.join(arguments.encodings)} "
        f"--decodings {' '.join(arguments.decodings)} --seed {arguments.seed}"
    )
    reproduce_mnist(
        arguments.mnist, arguments.out, runs, seed=arguments.seed, command=command,
        say=Console().print,
    )  # fmt: skip
    return 0
