"""Measure this installation: ours and its peers on the same work, interleaved in one run.

Times are CPU time of the one thread that works, so other programs on the machine disturb less;
medians and ratios are to be compared, not absolute times of different runs.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from streamvdib.cli import EXIT_OK

N_ROUNDS = 12
ROUND_NS = 60_000_000  # of each contender
MOST_CALLS = 400  # per round
VERSIONS = ("streamvdib", "torch", "numba", "numpy", "snntorch", "norse", "spikingjelly", "sinabs")


class Contender(NamedTuple):
    """One way to do the work of a scenario."""

    name: str
    call: Callable[[], object]
    n_units: int  # steps, frames or events that one call does


class Scenario(NamedTuple):
    """Work with a permanent name; the first contender is what the others are compared with."""

    name: str
    unit: str
    contenders: list[Contender]
    unit_us: float = 0.0  # sensor time of a unit, microseconds, where there is such a time


class Row(NamedTuple):
    """What was measured of one contender."""

    scenario: str
    contender: str
    unit: str
    p50_us: float  # per unit
    p99_us: float
    ratio: float  # times faster than the first contender
    real_time: float  # times faster than the sensor, 0 where that means nothing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("--peers", action="store_true", help="also run other libraries, if there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    parser.add_argument("--only", default="", metavar="TEXT", help="scenarios whose name holds it")
    parser.add_argument("--rounds", type=int, default=N_ROUNDS, help="interleaved rounds")


def execute(arguments: argparse.Namespace) -> int:
    """Run the scenarios and print one table."""
    import torch

    from streamvdib.commands.bench_scenarios import all_scenarios

    torch.set_num_threads(1)
    rows: list[Row] = []
    for make in all_scenarios(arguments.only, peers=arguments.peers):
        rows += measure(make(), arguments.rounds)
        _show([row for row in rows if row.scenario == rows[-1].scenario])
    record = {"machine": machine(), "rows": [row._asdict() for row in rows]}
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")
    return EXIT_OK


def machine() -> dict[str, object]:
    """What was measured on, and with what."""
    versions = {}
    for name in VERSIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "threads": 1,
        "versions": versions,
    }


def measure(scenario: Scenario, n_rounds: int) -> list[Row]:
    """Time every contender in interleaved rounds."""
    import numpy as np

    times: dict[str, list[float]] = {c.name: [] for c in scenario.contenders}
    for contender in scenario.contenders:
        contender.call()
    for _ in range(n_rounds):
        for contender in scenario.contenders:
            times[contender.name] += _round(contender)
    medians = {name: float(np.median(values)) for name, values in times.items()}
    base = medians[scenario.contenders[0].name]
    return [
        Row(
            scenario.name,
            name,
            scenario.unit,
            medians[name],
            float(np.percentile(values, 99)),
            base / medians[name],
            scenario.unit_us / medians[name],
        )
        for name, values in times.items()
    ]


def _round(contender: Contender) -> list[float]:
    """Microseconds per unit of each call of one round; the first call warms the caches."""
    contender.call()
    times: list[float] = []
    began = time.thread_time_ns()
    while len(times) < MOST_CALLS:
        before = time.thread_time_ns()
        contender.call()
        now = time.thread_time_ns()
        times.append((now - before) / 1e3 / contender.n_units)
        if now - began > ROUND_NS and len(times) > 1:
            break
    return times


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _show(rows: list[Row]) -> None:
    for row in rows:
        real_time = f"  {row.real_time:9.1f} x real time" if row.real_time else ""
        print(  # noqa: T201 - the command's output
            f"{row.scenario:24} {row.contender:30} {row.p50_us:12.4f} us/{row.unit:6} "
            f"p99 {row.p99_us:12.4f}  {row.ratio:8.1f} x{real_time}",
            flush=True,
        )
