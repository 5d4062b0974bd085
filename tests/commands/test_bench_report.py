"""What is made of a benchmark's times: a fit, and a table in a document."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from streamvdib.cli import EXIT_OK, EXIT_UNREAD, EXIT_USAGE, main
from streamvdib.commands import bench
from streamvdib.commands.bench_cost import fit
from streamvdib.commands.bench_table import BEGIN, END

ROW = {"contender": "ours, chunk", "unit": "step", "p99_us": 9.0, "real_time": 0.0}
RECORD = {
    "machine": {
        "date": "2026-01-02",
        "processor": "P",
        "python": "3.11",
        "versions": {"numba": "1"},
    },
    "rows": [
        {**ROW, "scenario": "step-two-layers", "p50_us": 2.0, "ratio": 1.0},
        {
            **ROW,
            "scenario": "eprop-two-layers",
            "contender": "torch eager e-prop",
            "p50_us": 0.14,
            "ratio": 1.0,
        },
        {**ROW, "scenario": "eprop-two-layers", "p50_us": 0.01, "ratio": 14.0},
        {
            **ROW,
            "scenario": "end-to-end",
            "contender": "ours",
            "p50_us": 500.0,
            "ratio": 1.0,
            "real_time": 20.0,
        },
    ],
}


def test_the_fit_finds_the_constants_that_made_the_times() -> None:
    """And its errors are those of the times that do not follow them."""
    generator = np.random.default_rng(0)
    constants = np.array([1.5, 0.2, 3e-3, 1e-4])
    terms = generator.uniform(1, 1000, (20, 4))
    found = fit(terms, terms @ constants)
    np.testing.assert_allclose(found.constants, constants, rtol=1e-8)
    np.testing.assert_allclose(found.errors, 0, atol=1e-10)
    times = terms @ constants
    times[3] *= 2
    assert np.argmax(np.abs(fit(terms, times).errors)) == 3


def test_a_saved_result_replaces_what_lay_between_the_markers(tmp_path: Path) -> None:
    """Twice the same as once; the text around stays; a floor is judged where its rival ran."""
    document, saved = tmp_path / "speed.md", tmp_path / "speed.json"
    saved.write_text(json.dumps(RECORD))
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        words = ["bench", "--table", str(saved), "--markdown", str(document)]
        assert main(words) == EXIT_OK
        assert document.read_text() == (
            f"before\n{BEGIN}\n2026-01-02, P, Python 3.11, numba 1.\n\n"
            "| scenario | what | p50 us | p99 us | per | times the first row | times real time "
            "| floor |\n|---|---|---|---|---|---|---|---|\n"
            "| step-two-layers | ours, chunk | 2.00 | 9.00 | step | 1.0 |  |  |\n"
            "| eprop-two-layers | torch eager e-prop | 0.14 | 9.00 | step | 1.0 |  |  |\n"
            "| eprop-two-layers | ours, chunk | 0.0100 | 9.00 | step | 14.0 |  "
            "| 15 x torch eager e-prop: **not reached** |\n"
            "| end-to-end | ours | 500 | 9.00 | step | 1.0 | 20.0 | 20 x real time: held |\n"
            f"{END}\nafter\n"
        )


@pytest.mark.parametrize("text", ["no markers", f"{END}\n{BEGIN}\n"])
def test_a_document_without_the_markers_is_left_alone(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error says which lines to add."""
    document, saved = tmp_path / "speed.md", tmp_path / "speed.json"
    saved.write_text(json.dumps(RECORD))
    document.write_text(text)
    assert main(["bench", "--table", str(saved), "--markdown", str(document)]) == EXIT_USAGE
    assert BEGIN in capsys.readouterr().err
    assert document.read_text() == text


def test_what_could_not_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "_measured", lambda _: pytest.fail("measured"))
    nowhere = str(tmp_path / "no folder" / "speed")
    for words, message in (
        (["--json", nowhere], "--json must name a file in a folder that exists"),
        (["--markdown", nowhere], "--markdown must name a text file that exists"),
    ):
        assert main(["bench", *words]) == EXIT_USAGE
        assert message in capsys.readouterr().err


def test_output_that_nobody_reads_ends_the_command_without_a_word(tmp_path: Path) -> None:
    """As in ``streamvdib bench --table FILE | head -1``."""
    saved = tmp_path / "speed.json"
    saved.write_text(json.dumps(RECORD))
    words = [sys.executable, "-m", "streamvdib", "bench", "--table", str(saved)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.close()
        said = command.stderr.read()
    assert (command.returncode, said) == (EXIT_UNREAD, b"")
