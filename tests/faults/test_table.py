"""The table of faults in the docs names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TABLE)


def test_every_test_that_the_table_names_exists() -> None:
    missing = [
        f"{path}::{name}"
        for path, name in NAMED
        if not (ROOT / path).is_file()
        or (name and f"\ndef {name}(" not in (ROOT / path).read_text(encoding="utf-8"))
    ]
    assert missing == []


def test_every_row_names_a_test() -> None:
    rows = [line for line in TABLE.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    assert [row for row in rows if "tests/" not in row] == []


def test_every_file_of_this_folder_is_in_the_table_or_its_trials() -> None:
    named = {Path(path).name for path, _ in NAMED} | {"test_soak.py", "test_table.py"}
    assert {path.name for path in (ROOT / "tests" / "faults").glob("test_*.py")} <= named
