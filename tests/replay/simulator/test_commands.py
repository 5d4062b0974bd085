"""``streamvdib simulate`` and ``streamvdib datasets`` as a user types them."""

import json
from pathlib import Path

import pytest
from streamvdib.replay.datasets import open_dataset

from streamvdib.cli import main


@pytest.mark.parametrize("kind", ["nmnist", "mnist-dvs"])
def test_recordings_are_made_and_then_described(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    folder = tmp_path / "set"
    assert main(["simulate", kind, "--n", "2", "--seed", "3", "--out", str(folder)]) == 0
    capsys.readouterr()
    assert main(["datasets", str(folder), "--check", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["recordings"], facts["with_target"], facts["stated digest"]) == (2, 2, "the same")
    assert facts["events"] == sum(len(one.read()) for one in open_dataset(folder).recordings)


def test_a_changed_recording_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "set"
    main(["simulate", "nmnist", "--n", "1", "--out", str(folder)])
    recording = folder / "00000.bin"
    recording.write_bytes(recording.read_bytes()[:-5])
    assert main(["datasets", str(folder), "--check"]) == 1
    assert "differs" in capsys.readouterr().out


def test_without_a_folder_the_known_data_sets_are_listed_with_how_to_get_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["datasets", "--json"]) == 0
    known = json.loads(capsys.readouterr().out)
    assert set(known) == {"nmnist", "mnist-dvs", "n-caltech101", "dvs-gesture", "poker-dvs"}
    assert all(about["how_to_get"] for about in known.values())


def test_simulated_recordings_can_be_compared_with_a_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: recordings compared with those that the same seeds made are the same."""
    folder = tmp_path / "set"
    main(["simulate", "nmnist", "--n", "2", "--seed", "9", "--out", str(folder)])
    capsys.readouterr()
    assert main(["simulate", "nmnist", "--n", "2", "--seed", "9", "--compare", str(folder)]) == 0
    table = capsys.readouterr().out
    assert "same image" in table
    assert table.count("1.000") == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["simulate", "nmnist"], "give --out DIR, --compare REAL or --fit REAL"),
        (["simulate", "nmnist", "--n", "0", "--out", "x"], "--n must be at least 1"),
        (["simulate", "nmnist", "--images", "/nowhere", "--out", "x"], "must be in the folder"),
        (["simulate", "nmnist", "--compare", "/nowhere"], "must be a folder"),
        (["simulate", "mnist-dvs", "--fit", "/nowhere"], "--fit is for nmnist"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_line_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
