"""The arguments of ``streamvdib reproduce audio-to-image``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from streamvdib.commands.options import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The experiment's arguments."""
    parser.add_argument("--mnist", type=Path, required=True, help="folder of the MNIST IDX files")
    parser.add_argument("--speech", type=Path, required=True, help="FSDD: WAV files or archive")
    parser.add_argument("--out", type=Path, default=Path("runs/audio-to-image"))
    parser.add_argument(
        "--autoencoder", type=Path,
        help="weights of a 784-196-784 run of spiking-autoencoder (trained anew without)",
    )  # fmt: skip
    parser.add_argument("--epochs", type=int, default=6, help="of every audiocoder (%(default)s)")
    parser.add_argument("--map-steps", type=int, nargs="+", default=[15, 10, 5, 2, 1])
    parser.add_argument("--map-steps-b", type=int, nargs="+", default=[10])
    parser.add_argument("--again", action="store_true", help="also runs that are done")
    parser.add_argument("--report", action="store_true", help="only report what is done")
    parser.add_argument("--threads", type=counted, default=1, help="of the processor (%(default)s)")


def execute(arguments: argparse.Namespace) -> int:
    """Train and score what is not done, write the live model and the report."""
    import torch

    from .audio_to_image import reproduce_audio_to_image

    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    reproduce_audio_to_image(
        arguments.mnist,
        arguments.speech,
        arguments.out,
        autoencoder_file=arguments.autoencoder,
        epochs=arguments.epochs,
        map_steps={"A": arguments.map_steps, "B": arguments.map_steps_b},
        again=arguments.again,
        report=arguments.report,
        command="streamvdib reproduce audio-to-image --mnist MNIST --speech FSDD "
        f"--epochs {arguments.epochs} --map-steps {_words(arguments.map_steps)} "
        f"--map-steps-b {_words(arguments.map_steps_b)}",
    )
    return 0


def _words(numbers: Sequence[int]) -> str:
    return " ".join(str(number) for number in numbers)
