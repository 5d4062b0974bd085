"""The arguments of ``streamvdib reproduce mnist-dvs``."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamvdib.commands.options import counted
from streamvdib.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The experiment's arguments."""
    parser.add_argument("--mnist", type=Path, required=True, help="folder of the MNIST IDX files")
    parser.add_argument("--nmnist", help="folder of N-MNIST, for that case")
    parser.add_argument("--mnist-dvs", help="folder of the real MNIST-DVS, for that case")
    parser.add_argument("--out", type=Path, default=Path("runs/mnist-dvs"))
    parser.add_argument("--examples", type=counted, default=6_000, help="per network")
    parser.add_argument(
        "--recordings", type=int, default=600, help="simulated, to learn from; 0: none"
    )
    parser.add_argument("--bins-ms", nargs="+", type=counted, default=[10, 25])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=counted, default=1, help="of the processor (%(default)s)")


def execute(arguments: argparse.Namespace) -> int:
    """Train, score, draw, report."""
    import torch
    from rich.console import Console

    from .mnist_dvs import Case, reproduce_mnist_dvs

    torch.set_num_threads(arguments.threads)
    bins_us = [1000 * bin_ms for bin_ms in arguments.bins_ms]
    cases = [Case("simulated", dt_us) for dt_us in bins_us if arguments.recordings]
    if not (cases or arguments.nmnist or arguments.mnist_dvs):
        raise ConfigurationError(
            "mnist-dvs requires recordings: --recordings above 0, --nmnist or --mnist-dvs"
        )
    given = f"--mnist MNIST --examples {arguments.examples} --recordings {arguments.recordings}"
    if arguments.nmnist:
        cases += [Case("nmnist", dt_us, arguments.nmnist) for dt_us in bins_us]
        given += " --nmnist NMNIST"
    if arguments.mnist_dvs:
        cases += [Case("mnist-dvs", dt_us, arguments.mnist_dvs) for dt_us in bins_us]
        given += " --mnist-dvs MNIST-DVS"
    given += f" --bins-ms {' '.join(str(bin_ms) for bin_ms in arguments.bins_ms)}"
    reproduce_mnist_dvs(
        cases, arguments.mnist, arguments.out, examples=arguments.examples,
        n_train=arguments.recordings, seed=arguments.seed,
        command=f"streamvdib reproduce mnist-dvs {given} --seed {arguments.seed}",
        say=Console().print,
    )  # fmt: skip
    return 0
