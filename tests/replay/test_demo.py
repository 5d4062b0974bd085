"""The demo: what `make demo` shows of the recordings that ship."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streamvdib.cli import EXIT_OK, EXIT_USAGE, main


def test_the_demo_writes_a_contact_sheet_and_an_animation_and_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--limit", "3", "--out", str(tmp_path)]) == EXIT_OK
    printed = capsys.readouterr().out
    assert str(tmp_path / "contact-sheet.png") in printed.replace("\n", "")
    assert "LeNet reads" in printed
    with Image.open(tmp_path / "contact-sheet.png") as sheet:
        assert np.asarray(sheet).std() > 20
        assert sheet.width > sheet.height / 2
    with Image.open(tmp_path / "animation.gif") as animation:
        assert getattr(animation, "n_frames", 1) >= 85


def test_the_model_that_ships_reads_the_digits_of_the_demo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten digits, one of each; by chance one would be right."""
    main(["demo", "--limit", "10", "--out", str(tmp_path)])
    line = next(row for row in capsys.readouterr().out.splitlines() if " of 10:" in row)
    assert int(line.split(" of 10:")[0].split()[-1]) >= 8


def test_a_recording_of_ones_own_is_shown_instead(
    tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real 0 (MNIST index 1, of the training set), alone: no label, no true picture."""
    recording = shared_data / "nmnist" / "train" / "00001.bin"
    assert main(["demo", str(recording), "--out", str(tmp_path)]) == EXIT_OK
    printed = capsys.readouterr().out
    assert "1 recordings" in printed
    (read,) = [row.split("│")[2] for row in printed.splitlines() if "LeNet reads" in row]
    assert read.strip() == "0"
    with Image.open(tmp_path / "contact-sheet.png") as sheet:
        assert sheet.height < 6 * 3 * 34  # five rows, the last at 300 ms


def test_a_demo_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--limit", "0"]) == EXIT_USAGE
    assert "--limit must be at least 1; got 0" in capsys.readouterr().err


def test_a_folder_that_holds_no_data_set_is_refused(tmp_path: Path) -> None:
    assert main(["demo", str(tmp_path), "--out", str(tmp_path)]) == EXIT_USAGE
