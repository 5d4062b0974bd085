"""``streamvdib checkpoint``: what is there, is it whole, and its weights as a model."""

from pathlib import Path

import numpy as np
import pytest

from streamvdib.checkpoints import Checkpoints
from streamvdib.cli import EXIT_FAILED, EXIT_OK, EXIT_USAGE, main
from streamvdib.endurance.workload import packets, small_engine
from streamvdib.model import load_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two generations of a small engine."""
    engine = small_engine(backend="torch")
    with Checkpoints(tmp_path / "kept") as checkpoints:
        for packet in packets(0, 2):
            engine.advance(packet)
            checkpoints.write(engine.snapshot())
    return tmp_path / "kept"


def test_every_generation_is_told_oldest_first(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["checkpoint", str(folder)]) == EXIT_OK
    first, second = capsys.readouterr().out.splitlines()
    assert "generation 1, model small" in first
    assert "generation 2, model small" in second


def test_a_newest_that_must_not_be_believed_is_told_with_the_reason(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = folder / "checkpoint-0000000002.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    assert main(["checkpoint", str(folder)]) == EXIT_FAILED
    assert "0000000002.safetensors: REFUSED: " in capsys.readouterr().out
    assert main(["checkpoint", str(folder), "--export", str(folder / "m.safetensors")]) != EXIT_OK
    assert not (folder / "m.safetensors").exists()


@pytest.mark.parametrize(("name", "there"), [("absent", "nothing"), ("empty", "none in it")])
def test_where_there_are_none_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, there: str
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["checkpoint", str(tmp_path / name)]) == EXIT_USAGE
    assert f"{name} must be a folder with checkpoint-" in (told := capsys.readouterr().err)
    assert told.strip().endswith(f"there is {there}")


def test_its_weights_make_a_model(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    assert main(["checkpoint", str(folder), "--export", str(path)]) == EXIT_OK
    expected, exported = small_engine().model.tensors(), load_model(str(path)).tensors()
    assert expected.keys() == exported.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(exported[name], tensor)
