"""Reports of experiments: a Markdown page, the numbers as JSON, and the command that made them."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from streamvdib.errors import ConfigurationError

T = TypeVar("T")
Say = Callable[[str], None]

_NUMBERS = re.compile(r"\[[-+.,eE\d\s]*\]")  # a list of numbers stands in one line


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells as they are."""
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def kept(path: Path, asked: dict[str, Any], make: Callable[[], T]) -> T:
    """What ``make`` gave when it was last asked for this, or now gives; kept in ``path``.

    A result that is kept is not made again: a test set is scored once.

    Args:
        path: a JSON file.
        asked: what determines the result, as plain values.
        make: gives plain values.

    Raises:
        ConfigurationError: the file is the answer to something else.
    """
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["asked"] != asked:
            raise ConfigurationError(
                f"{path} must be the result of {asked}; it is that of {found['asked']}. "
                "Use another --out folder."
            )
        return found["result"]  # type: ignore[no-any-return]
    result = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"asked": asked, "result": result}), encoding="utf-8")
    return result


def all_kept(folder: Path) -> list[Any]:
    """Every result that ``kept`` wrote into a folder, by file name."""
    paths = sorted(folder.glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8"))["result"] for path in paths]


def commands_of(rows: Iterable[tuple[str, str]]) -> str:
    """A list of commands, each with the rows that it made, from (row, command) pairs."""
    made: dict[str, list[str]] = {}
    for row, command in rows:
        made.setdefault(command, []).append(row)
    return "\n".join(f"* `{command}`: {'; '.join(names)}" for command, names in made.items())


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
    text = json.dumps(record, indent=1)
    text = _NUMBERS.sub(lambda found: " ".join(found.group().split()), text)
    (out / f"{name}.json").write_text(text + "\n", encoding="utf-8")
