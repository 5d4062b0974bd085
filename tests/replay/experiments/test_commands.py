"""The commands train, evaluate and reproduce, as a user calls them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from streamvdib.cli import main

CONFIGURATION = """
name = "tiny"
[data]
kind = "predictive-coding"
n_steps = 12
test_steps = 30
[model]
dt_us = 1000
input_shape = [20]
[[model.layers]]
connection = { kind = "dense", n_neurons = 4 }
[model.layers.neuron]
kind = "srm"
stochastic = true
response = { kind = "exponential", decay = 0.5, tau_e = 3 }
feedback = { kind = "exponential", decay = 0.5, tau_e = 3 }
[model.decoder]
kind = "linear"
tau_d = 3
output_shape = [210]
likelihood = { name = "categorical" }
[training]
examples = 16
batch = 4
validate_every = 8
"""


@pytest.fixture(autouse=True)
def _restore_torch() -> Iterator[None]:
    precision, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    yield
    torch.set_float32_matmul_precision(precision)
    torch.set_num_threads(threads)


def test_train_writes_a_model_and_goes_on_when_called_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "tiny.toml", tmp_path / "out"
    path.write_text(CONFIGURATION)
    assert main(["train", str(path), "--out", str(out), "--data", "lags=1"]) == 2
    assert "options of data" in capsys.readouterr().err
    assert main(["train", str(path), "--out", str(out), "--data", "lag=-1"]) == 0
    assert {p.name for p in out.iterdir()} == {
        "checkpoint.safetensors", "curve.png", "metrics.jsonl", "tiny.safetensors",
    }  # fmt: skip
    assert main(["train", str(path), "--out", str(out), "--examples", "24"]) == 0
    assert "resuming after 16 examples" in capsys.readouterr().out
    assert main(["train", str(path), "--out", str(out), "--fresh", "--seed", "4"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "x.toml", "--threads", "0"], "--threads: must be a whole number of 1 or more"),
        (["reproduce", "predictive-coding", "--trials", "x"], "--trials: must be a whole number"),
        (["reproduce", "mnist-dvs", "--mnist", "x", "--recordings", "0"], "requires recordings"),
        (["reproduce", "mnist-dvs", "--mnist", "x", "--recordings", "50"],
         "n_train must be more than the 50 recordings kept back"),
    ],
)  # fmt: skip
def test_what_would_learn_nothing_is_told(
    tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out")]
    try:
        code = main([*words, *out])
    except SystemExit as stopped:  # argparse
        code = int(stopped.code or 0)
    assert code == 2
    assert message in capsys.readouterr().err


def test_a_training_without_a_folder_to_write_to_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(CONFIGURATION)
    assert main(["train", str(path), "--out", str(path / "inside")]) == 2
    assert "requires a folder to write to" in capsys.readouterr().err


def test_train_names_a_wrong_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(tmp_path / "none.toml")]) == 2
    assert "none.toml must be a TOML file" in capsys.readouterr().err


def test_evaluate_prints_a_table_and_writes_json(
    tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "scores.json"
    arguments = ["evaluate", str(shared_data / "nmnist"), "--limit", "4", "--json", str(path)]
    assert main(arguments) == 0
    assert "last frame" in capsys.readouterr().out
    scores = json.loads(path.read_text())
    assert scores["n_recordings"] == 4
    assert len(scores["by_time"]) >= 30


def test_evaluate_names_a_folder_that_is_no_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "layout" in capsys.readouterr().err


def test_reproduce_predictive_coding_writes_its_report(tmp_path: Path) -> None:
    arguments = ["--sequences", "10", "--trials", "1", "--out", str(tmp_path)]
    assert main(["reproduce", "predictive-coding", *arguments]) == 0
    page = (tmp_path / "predictive-coding.md").read_text()
    assert "--sequences 10 --trials 1 --seed 0" in page
    assert "| lag -5 |" in page
    assert (tmp_path / "predictive-coding.png").is_file()


@pytest.mark.slow
def test_reproduce_mnist_writes_its_report(tmp_path: Path, shared_data: Path) -> None:
    few = ["--examples", "32", "--methods", "pathwise", "--paper-examples", "0"]
    where = ["--mnist", str(shared_data / "mnist"), "--out", str(tmp_path)]
    arguments = [*where, *few, "--encodings", "ttfs"]
    assert main(["reproduce", "mnist", *arguments]) == 0
    numbers = json.loads((tmp_path / "mnist.json").read_text())
    assert [r["view"] for r in numbers["results"]] == ["window", "rate"]
    assert {"mnist.md", "curves.png", "images.png"} <= {p.name for p in tmp_path.iterdir()}


@pytest.mark.slow
def test_reproduce_nmnist_online_writes_its_report(tmp_path: Path, shared_data: Path) -> None:
    arguments = ["--nmnist", str(shared_data / "nmnist"), "--limit", "510", "--passes", "1",
                 "--out", str(tmp_path)]  # fmt: skip
    assert main(["reproduce", "nmnist-online", *arguments]) == 0
    numbers = json.loads((tmp_path / "nmnist-online.json").read_text())
    assert numbers["presentations"] == 510
    assert len(numbers["accuracy_curve"]) == 1


@pytest.mark.slow
def test_reproduce_davis_is_nearer_than_the_last_frame(tmp_path: Path, shared_data: Path) -> None:
    recording = shared_data / "aedat4" / "davis346_street_with_frames.aedat4"
    arguments = ["--recording", str(recording), "--loops", "1", "--out", str(tmp_path)]
    assert main(["reproduce", "davis", *arguments]) == 0
    whole = json.loads((tmp_path / "davis.json").read_text())["whole"]
    assert whole["VDIB"]["event_pixels"] < whole["last frame held"]["event_pixels"]
