"""A saved result of ``streamvdib bench`` as a Markdown table, and its one place in a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from streamvdib.errors import ConfigurationError

BEGIN, END = "<!-- begin of the bench table -->", "<!-- end of the bench table -->"
FLOORS = {  # what is asked of a contender: at least this, against that
    ("step-two-layers", "ours, chunk"): (150.0, "snntorch Leaky"),
    ("step-two-layers", "ours, step"): (30.0, "snntorch Leaky"),
    ("eprop-two-layers", "ours, chunk"): (15.0, "torch eager e-prop"),
    ("decoder-tau30", "ours"): (8.0, "torch eager"),
    ("binning-346x260", "ours"): (30.0, "numpy + unique"),
    ("end-to-end", "ours"): (20.0, "real time"),
    ("end-to-end-learning", "ours"): (6.0, "real time"),
    ("tiles-346x260", "ours"): (1.5, "real time"),
    ("first-frame", "streamvdib run"): (3.0, "seconds"),
}


Rows = Sequence[Mapping[str, Any]]


def markdown(record: Mapping[str, Any]) -> str:
    """Machine, versions and one line per contender of what ``--json`` wrote."""
    machine = record["machine"]
    versions = [f"{name} {number}" for name, number in machine["versions"].items()]
    about = [machine["date"], machine["processor"], f"Python {machine['python']}", *versions]
    if "commit" in machine:
        about.append(f"commit {machine['commit'][:10]}")
    lines = [
        ", ".join(about) + ".",
        "",
        "| scenario | what | p50 us | p99 us | per | times the first row "
        "| times real time | floor |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_line(row, record["rows"]) for row in record["rows"])]) + "\n"


def _line(row: Mapping[str, Any], rows: Rows) -> str:
    real_time = f"{row['real_time']:.1f}" if row["real_time"] else ""
    cells = [row["scenario"], row["contender"], _time(row["p50_us"]), _time(row["p99_us"])]
    cells += [row["unit"], f"{row['ratio']:.1f}", real_time, _floor(row, rows)]
    return f"| {' | '.join(cells)} |"


def _time(microseconds: float) -> str:
    return f"{microseconds:.{4 if microseconds < 0.1 else 2 if microseconds < 100 else 0}f}"


def _floor(row: Mapping[str, Any], rows: Rows) -> str:
    """What was asked, and whether it was held; nothing where the other contender did not run."""
    asked = FLOORS.get((row["scenario"], row["contender"]))
    if asked is None:
        return ""
    floor, against = asked
    if against == "seconds":
        return f"{floor:g} s: {_verdict(row['p50_us'] <= floor * 1e6)}"
    if against == "real time":
        return f"{floor:g} x real time: {_verdict(row['real_time'] >= floor)}"
    for other in rows:
        if (other["scenario"], other["contender"]) == (row["scenario"], against):
            ratio = other["p50_us"] / row["p50_us"]
            return f"{floor:g} x {against}: {_verdict(ratio >= floor)}"
    return ""


def _verdict(is_held: bool) -> str:
    return "held" if is_held else "**not reached**"


def put_table(document: Path, table: str) -> None:
    """Replace what lies between the two marker comments of a document.

    Raises:
        ConfigurationError: as ``parts_around_table``.
    """
    before, after = parts_around_table(document)
    document.write_text(f"{before}{BEGIN}\n{table}{END}{after}")


def parts_around_table(document: Path) -> tuple[str, str]:
    """What a document says before and after its table.

    Raises:
        ConfigurationError: it cannot be read, or does not hold each marker once, in order.
    """
    try:
        text = document.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"--markdown must name a text file that exists; got {document}: {error}"
        ) from error
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ConfigurationError(
            f"{document} must hold the lines {BEGIN!r} and {END!r}, in this order; add them "
            "where the table is to go"
        )
    return before, after
