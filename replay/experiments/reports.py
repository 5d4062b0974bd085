"""Reports of experiments: a Markdown page, the numbers as JSON, and the command that made them."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Say = Callable[[str], None]


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells as they are."""
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def write_report(
    out: Path, name: str, title: str, body: str, numbers: dict[str, Any], command: str
) -> None:
    """Write ``out/NAME.md`` and ``out/NAME.json``."""
    out.mkdir(parents=True, exist_ok=True)
    made = datetime.now(UTC).strftime("%Y-%m-%d")
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    page = f"# {title}\n\nMade with `{command}` on {made} ({machine}).\n\n{body}\n"
    (out / f"{name}.md").write_text(page, encoding="utf-8")
    record = {"command": command, "made": made, "machine": machine} | numbers
    (out / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
