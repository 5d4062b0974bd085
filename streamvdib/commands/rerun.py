"""``streamvdib rerun LOG``: repeat a session from its log, and say where it first differs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamvdib.cli import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from streamvdib.engine import Engine, Learner


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("log", type=Path, help="the folder of --session-log, or one of its files")
    parser.add_argument(
        "--backend",
        choices=("auto", "numba", "torch", "torch-compile", "cuda-graph"),
        help="another than the session's own",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Repeat the session; 0 if it is the same, 1 if it differs."""
    import torch

    from streamvdib.engine_description import make_described
    from streamvdib.session_log import rerun

    torch.set_num_threads(1)
    report = rerun(
        arguments.log,
        lambda about: make_described(about, backend=arguments.backend, make_learner=_make_learner),
    )
    for ending in report.endings:
        _tell(ending)
    for text in report.machine_differences:
        _tell(f"last bits may differ: {text}")
    _tell(
        f"repeated {report.n_packets:,} packets in {report.n_sections} sections; compared "
        f"{report.n_steps:,} steps and {report.n_frames:,} frames"
    )
    if report.first_difference is None:
        _tell("the same, bit for bit")
        return EXIT_OK
    _tell(f"first difference: {report.first_difference}")
    return EXIT_FAILED


def _make_learner(engine: Engine, about: Mapping[str, Any]) -> Learner:
    """Learning is imported only where a log has some."""
    from streamvdib.learning.guard import make_guarded_learner

    return make_guarded_learner(engine, about)


def _tell(text: str) -> None:
    print(text)  # noqa: T201 - the command's output
