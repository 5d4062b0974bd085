"""Measure this installation: ours and its peers on the same work, interleaved in one run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from streamvdib.cli import EXIT_OK

if TYPE_CHECKING:
    from streamvdib.commands.bench_measure import Row

N_ROUNDS = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("--peers", action="store_true", help="also run other libraries, if there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    parser.add_argument("--only", default="", metavar="TEXT", help="scenarios whose name holds it")
    parser.add_argument("--rounds", type=int, default=N_ROUNDS, help="interleaved rounds")


def execute(arguments: argparse.Namespace) -> int:
    """Run the scenarios and print one table."""
    import torch

    from streamvdib.commands.bench_learning import learning_scenarios
    from streamvdib.commands.bench_machine import machine
    from streamvdib.commands.bench_measure import measure
    from streamvdib.commands.bench_scenarios import all_scenarios

    torch.set_num_threads(1)
    rows: list[Row] = []
    only, peers = arguments.only, arguments.peers
    for make in [*all_scenarios(only, peers=peers), *learning_scenarios(only, peers=peers)]:
        found = measure(make(), arguments.rounds)
        _show(found)
        rows += found
    record = {"machine": machine(), "rows": [row._asdict() for row in rows]}
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")
    return EXIT_OK


def _show(rows: list[Row]) -> None:
    for row in rows:
        real_time = f"  {row.real_time:9.1f} x real time" if row.real_time else ""
        print(  # noqa: T201 - the command's output
            f"{row.scenario:24} {row.contender:30} {row.p50_us:12.4f} us/{row.unit:6} "
            f"p99 {row.p99_us:12.4f}  {row.ratio:8.1f} x{real_time}",
            flush=True,
        )
