"""``streamvdib simulate`` and ``streamvdib datasets`` as a user types them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamvdib.replay.datasets import open_dataset

from streamvdib.cli import main
from streamvdib.sources import open_source


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


def film(folder: Path, n: int = 5) -> Path:
    """A white bar that moves over black, one pixel per image, 12 x 8."""
    folder.mkdir()
    for number in range(n):
        image = np.zeros((8, 12), np.uint8)
        image[:, number + 2] = 255
        Image.fromarray(image).save(folder / f"{number:03d}.png")
    return folder


def test_a_folder_of_images_becomes_one_recording(tmp_path: Path) -> None:
    """By hand: at 100 images per second five images last 40 ms; the bar sweeps columns 2..6."""
    out = tmp_path / "film.es"
    words = ["simulate", "frames", "--images", str(film(tmp_path / "film")), "--out", str(out)]
    assert main(words) == 0
    events = np.concatenate([packet.events for packet in open_source(out)])
    assert events["t_us"].max() <= 40_000
    assert set(events["x"][events["on"]].tolist()) >= {3, 4, 5, 6}
    assert np.count_nonzero((events["x"] < 2) | (events["x"] > 6)) < 0.05 * len(events)


def test_images_of_another_size_in_a_film_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = film(tmp_path / "film")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "004.png")
    out = str(tmp_path / "film.es")
    assert main(["simulate", "frames", "--images", str(folder), "--out", out]) == 2
    assert "12x8; 004.png is 4x4" in capsys.readouterr().err


def test_a_film_without_images_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "film.es")
    assert main(["simulate", "frames", "--images", str(tmp_path), "--out", out]) == 2
    assert "two or more images" in capsys.readouterr().err


def test_a_fit_prints_constants_that_python_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "set")
    main(["simulate", "nmnist", "--n", "1", "--out", folder])
    capsys.readouterr()
    assert main(["simulate", "nmnist", "--n", "1", "--fit", folder, "--trials", "2"]) == 0
    text = capsys.readouterr().out
    assert "after 2 trials on 1 recordings" in text
    assert "LENS = Lens(scale=" in text
