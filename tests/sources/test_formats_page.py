"""The table of formats in the docs says what the tests check, no more and no less."""

from pathlib import Path

from tests.sources.written import BY_BYTES

PAGE = Path(__file__).resolve().parents[2] / "docs/formats.md"
BY_LIBRARIES = {"AEDAT4", "HDF5", "ROS 1 bag", "ROS 2 bag"}
"""Formats that ``test_written_recordings.py`` writes with the libraries of the formats."""

WRITTEN = {
    "AEDAT4": "aedat4",
    "EVT3": "evt3",
    "Event Stream dvs": "event_stream",
    "ATIS 40-bit": "atis40",
    "text": "text",
    "text with header": "text",
    "NumPy .npy": "numpy_file",
}
"""Formats that are written, and the module in ``replay/writers`` that does it."""

REAL = {
    "AEDAT 1.0",
    "AEDAT 2.0 DVS128",
    "AEDAT4",
    "EVT2",
    "EVT3",
    "DAT",
    "DAT without size",
    "Event Stream dvs",
    "Event Stream atis",
    "ATIS 40-bit",
    "text",
    "HDF5",
    "ROS 1 bag",
}
"""Formats of which ``test_real_recordings.py`` reads a real file."""


def table() -> dict[str, list[str]]:
    lines = PAGE.read_text().partition("<!-- table")[2].splitlines()[1:]
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines[:60]]
    ends = next(index for index, row in enumerate(rows) if row == [""])
    return {row[0]: row[1:] for row in rows[2:ends]}


def test_the_page_lists_the_formats_that_are_tested() -> None:
    assert set(table()) == set(BY_BYTES) | BY_LIBRARIES


def test_all_are_recognised_exact_and_streamed() -> None:
    assert {tuple(row[:5]) for row in table().values()} == {("yes",) * 5}


def test_those_said_to_be_written_have_a_writer() -> None:
    said = {name for name, row in table().items() if row[5] == "yes"}
    assert said == set(WRITTEN)
    writers = PAGE.parents[1] / "replay/writers"
    assert all((writers / f"{module}.py").is_file() for module in WRITTEN.values())


def test_those_said_to_be_read_from_real_files_are() -> None:
    assert {name for name, row in table().items() if row[6].startswith("real")} == REAL
