"""``streamvdib soak --minutes N --seed S``: run for long with random faults, and judge."""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path

from streamvdib.cli import EXIT_FAILED, EXIT_OK
from streamvdib.errors import ConfigurationError, StreamVdibError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--minutes", type=float, default=2.0, help="of real time (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of every fault (%(default)s)")
    parser.add_argument(
        "--simulate", type=int, metavar="N", help="N seeds of the simulation instead, from --seed"
    )
    parser.add_argument("--folder", type=Path, help="keep checkpoints and log there")


def execute(arguments: argparse.Namespace) -> int:
    """Print figures and a verdict; 0 if every invariant held, 1 if not."""
    import torch

    if not 0 < arguments.minutes < float("inf"):
        raise ConfigurationError(f"--minutes must be above 0; got {arguments.minutes}")
    from streamvdib.allocator import keep_memory_flat

    torch.set_num_threads(1)
    keep_memory_flat()
    if arguments.simulate is not None:
        return _simulate(arguments.seed, arguments.simulate)
    from streamvdib.endurance.soak import Soak

    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        verdict = Soak(folder, arguments.seed, arguments.minutes, _tell).run()
    for name, text in verdict.figures.items():
        _tell(f"{name}: {text}")
    for text in verdict.broken:
        _tell(f"BROKEN: {text}")
    _tell("verdict: good" if verdict.is_good else "verdict: BROKEN")
    return EXIT_OK if verdict.is_good else EXIT_FAILED


def _simulate(first_seed: int, n_seeds: int) -> int:
    from streamvdib.endurance.simulation import simulate

    if n_seeds < 1:
        raise ConfigurationError(f"--simulate must be at least 1 seed; got {n_seeds}")
    n_broken = 0
    logging.getLogger("streamvdib").setLevel(logging.CRITICAL)  # faults on purpose are no news
    for seed in range(first_seed, first_seed + n_seeds):
        try:
            broken = simulate(seed).broken
        except StreamVdibError as error:
            broken = [f"{type(error).__name__}: {error}"]
        for text in broken:
            _tell(f"seed {seed} BROKEN: {text}; again: streamvdib soak --simulate 1 --seed {seed}")
        n_broken += bool(broken)
        if (seed + 1 - first_seed) % 100 == 0:
            _tell(f"{seed + 1 - first_seed} seeds, {n_broken} broken")
    _tell(f"{n_seeds} seeds from {first_seed}: {n_broken} broken")
    return EXIT_FAILED if n_broken else EXIT_OK


def _tell(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the command's output
