"""Measure this installation: ours and its peers on the same work, interleaved in one run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamvdib.cli import EXIT_OK
from streamvdib.errors import ConfigurationError

if TYPE_CHECKING:
    from streamvdib.commands.bench_measure import Row

N_ROUNDS = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("--peers", action="store_true", help="also run other libraries, if there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    parser.add_argument("--only", default="", metavar="TEXT", help="scenarios whose name holds it")
    parser.add_argument("--rounds", type=int, default=N_ROUNDS, help="interleaved rounds")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="put the table between that file's markers"
    )
    parser.add_argument(
        "--table", type=Path, metavar="JSON", help="measure nothing: the table of a saved result"
    )
    parser.add_argument(
        "--cost", type=Path, metavar="PNG", help="measure, fit and plot what a step's cost is of"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run the scenarios and print one table; or show a saved one; or plot the cost of a step."""
    if arguments.table is not None:
        try:
            record = json.loads(arguments.table.read_text())
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"--table must name a file that bench --json wrote; got {arguments.table}: {error}"
            ) from error
        return _render(record, arguments.markdown)
    if arguments.cost is not None:
        from streamvdib.commands.bench_cost import plot_cost

        plot_cost(arguments.cost)
        return EXIT_OK
    _check_outputs(arguments)
    record = _measured(arguments)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")
    if arguments.markdown is not None:
        _render(record, arguments.markdown)
    return EXIT_OK


def _check_outputs(arguments: argparse.Namespace) -> None:
    """Refuse what could not be written before anything is measured: that takes minutes."""
    if arguments.json is not None and not arguments.json.parent.is_dir():
        raise ConfigurationError(
            f"--json must name a file in a folder that exists; got {arguments.json}"
        )
    if arguments.markdown is not None:
        from streamvdib.commands.bench_table import parts_around_table

        parts_around_table(arguments.markdown)


def _render(record: dict[str, Any], document: Path | None) -> int:
    """The table of a result, printed or put into a document."""
    from streamvdib.commands.bench_table import markdown, put_table

    if document is None:
        print(markdown(record), end="")  # noqa: T201 - the command's output
    else:
        put_table(document, markdown(record))
    return EXIT_OK


def _measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the scenarios, each printed when it is done."""
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
    return {"machine": machine(), "rows": [row._asdict() for row in rows]}


def _show(rows: list[Row]) -> None:
    for row in rows:
        real_time = f"  {row.real_time:9.1f} x real time" if row.real_time else ""
        print(  # noqa: T201 - the command's output
            f"{row.scenario:24} {row.contender:30} {row.p50_us:12.4f} us/{row.unit:6} "
            f"p99 {row.p99_us:12.4f}  {row.ratio:8.1f} x{real_time}",
            flush=True,
        )
