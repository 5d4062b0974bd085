"""``streamvdib reproduce NAME``: run an experiment again; each writes its report under --out.

To add one, write a module with ``add_arguments(parser)`` and ``execute(arguments) -> int`` in
``replay/experiments`` and add its line to ``EXPERIMENTS``.
"""

from __future__ import annotations

import argparse
import importlib
from typing import Any

EXPERIMENTS: dict[str, tuple[str, str]] = {
    "lenet": ("lenet_command", "train LeNet, the judge of naturalized digits"),
    "predictive-coding": ("predictive_coding_command", "two blobs, section 6.1 of the VDIB paper"),
    "nmnist-online": ("nmnist_online_command", "N-MNIST learned while it streams, batch 1"),
    "davis": ("davis_command", "a DAVIS recording that teaches itself from its own frames"),
    "mnist-dvs": ("mnist_dvs_command", "naturalizing MNIST-DVS, section 6.3 of the VDIB paper"),
    "mnist": ("mnist_command", "naturalizing MNIST, Table 1 of the VDIB paper"),
    "spiking-autoencoder": ("spiking_autoencoder_command", "autoencoders that learn on potentials"),
    "audio-to-image": ("audio_to_image_command", "spoken digits call up images of digits"),
}
"""Name -> module in ``replay/experiments``, and what ``--help`` says of it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand per experiment."""
    subparsers = parser.add_subparsers(dest="experiment", metavar="NAME", required=True)
    for name, (module, summary) in EXPERIMENTS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary)
        _module(module).add_arguments(subparser)


def execute(arguments: argparse.Namespace) -> int:
    """Run the experiment."""
    module, _ = EXPERIMENTS[arguments.experiment]
    return int(_module(module).execute(arguments))


def _module(name: str) -> Any:
    return importlib.import_module(f"..experiments.{name}", __package__)
