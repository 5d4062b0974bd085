"""``streamvdib supervise COMMAND ...``: start a command again when it dies or hangs."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from types import FrameType

from streamvdib.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--patience-s", type=float, default=10.0, help="of silence (%(default)s)")
    parser.add_argument("--start-s", type=float, default=120.0, help="to start in (%(default)s)")
    parser.add_argument("--most-restarts", type=int, default=10, help="(%(default)s)")
    parser.add_argument(
        "words",
        nargs=argparse.REMAINDER,
        metavar="COMMAND ...",
        help="such as: run SOURCE --checkpoint DIR --resume",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Supervise until the command ends well, a signal comes, or it is given up (1)."""
    from streamvdib.supervisor import Supervisor

    words = [word for word in arguments.words if word != "--"]
    if not words or words[0] not in ("run", "serve"):
        raise ConfigurationError(f"supervise requires run or serve and its options; got {words}")
    children: list[subprocess.Popen[bytes]] = []

    def start(additions: Mapping[str, str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "streamvdib", *words]
        children[:] = [subprocess.Popen(command, env={**os.environ, **additions})]
        return children[0]

    with Supervisor(
        start,
        patience_s=arguments.patience_s,
        start_s=arguments.start_s,
        most_restarts=arguments.most_restarts,
    ) as supervisor:

        def pass_on(number: int, _frame: FrameType | None) -> None:
            supervisor.most_restarts = 0
            for child in children:
                child.send_signal(number)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, pass_on)
        return supervisor.run()
