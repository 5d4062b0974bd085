"""The offline training: resumable at any moment, and wrong configurations are named."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from streamvdib.errors import CheckpointError, ConfigurationError
from streamvdib.learning.configuration import (
    Configuration,
    Schedule,
    configuration_from,
    read_configuration,
)
from streamvdib.learning.curve import draw_curve, read_metrics
from streamvdib.learning.training import Training
from streamvdib.model import load_model

TABLE = {
    "name": "blobs",
    "seed": 3,
    "data": {"kind": "predictive-coding", "lag": -1, "n_steps": 20, "test_steps": 40},
    "model": {
        "dt_us": 1000,
        "input_shape": [20],
        "layers": [
            {
                "connection": {"kind": "dense", "n_neurons": 6},
                "neuron": {
                    "kind": "srm",
                    "stochastic": True,
                    "learns_feedback": True,
                    "response": {"kind": "exponential", "decay": 0.5, "tau_e": 4},
                    "feedback": {"kind": "exponential", "decay": 0.5, "tau_e": 4},
                },
            }
        ],
        "decoder": {
            "kind": "linear",
            "tau_d": 3,
            "output_shape": [210],
            "likelihood": {"name": "categorical"},
        },
    },
    "rule": {"beta": 0.01, "prior": {"kind": "bernoulli", "rate": 0.2}},
    "training": {"examples": 48, "batch": 4, "validate_every": 16, "precision": "float32"},
}


@pytest.fixture(autouse=True)
def _restore_precision():
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


def quiet(_: dict) -> None:
    pass


def configuration(**training: object) -> Configuration:
    return configuration_from(TABLE | {"training": TABLE["training"] | training})


def test_a_training_writes_a_model_its_metrics_and_a_curve(tmp_path: Path) -> None:
    training = Training(configuration(), tmp_path, quiet)
    scores = training.run()
    assert set(scores) == {"accuracy", "mse", "spike_rate"}
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["examples"] for line in lines] == [16, 32, 48]
    assert {"decoder_nats", "information_nats_per_step"} <= set(lines[0])
    model = load_model(tmp_path / "blobs.safetensors")
    torch.testing.assert_close(
        model.weights[0].synapses, training.model.weights[0].synapses, rtol=1e-3, atol=1e-3
    )
    draw_curve(tmp_path / "metrics.jsonl", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_an_interrupted_training_resumes_to_the_same_bits(tmp_path: Path) -> None:
    whole = Training(configuration(), tmp_path / "whole", quiet)
    whole.run()
    first = Training(configuration(), tmp_path / "halved", quiet)
    for _ in range(5):
        first._learn_one()
    first.save()
    second = Training(configuration(), tmp_path / "halved", quiet)
    assert second.resume()
    assert second.done == 20
    second.run()
    for name, tensor in whole.state.tensors().items():
        torch.testing.assert_close(second.state.tensors()[name], tensor, rtol=0, atol=0, msg=name)


def test_a_killed_training_measures_again_what_its_checkpoint_does_not_hold(
    tmp_path: Path,
) -> None:
    """Killed after 32 examples and in the middle of a line; the checkpoint is of 20."""
    whole = Training(configuration(), tmp_path / "whole", quiet)
    whole.run()
    killed = Training(configuration(), tmp_path / "killed", quiet)
    for _ in range(8):
        killed._learn_one()
        if killed.done == 20:
            killed.save()
        if killed.done % 16 == 0:
            killed.measure()
    with (killed.out / "metrics.jsonl").open("a") as file:
        file.write('{"examples": 33, "sec')
    again = Training(configuration(), tmp_path / "killed", quiet)
    assert again.resume()
    again.run()
    lines = [read_metrics(out / "metrics.jsonl") for out in (whole.out, again.out)]
    for line in (*lines[0], *lines[1]):
        del line["seconds"]
    assert lines[0] == lines[1]


def test_a_training_killed_before_its_first_checkpoint_begins_again(tmp_path: Path) -> None:
    training = Training(configuration(), tmp_path, quiet)
    training._learn_one()
    training.measure()
    again = Training(configuration(), tmp_path, quiet)
    assert not again.resume()
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_another_seeds_checkpoint_is_refused(tmp_path: Path) -> None:
    Training(configuration(), tmp_path, quiet).save()
    with pytest.raises(CheckpointError, match="seed 3"):
        Training(replace(configuration(), seed=1), tmp_path, quiet).resume()


def test_a_keyboard_interrupt_leaves_a_checkpoint(tmp_path: Path) -> None:
    training = Training(configuration(), tmp_path, quiet)

    def interrupt(_: dict) -> None:
        raise KeyboardInterrupt

    training.report = interrupt
    with pytest.raises(KeyboardInterrupt):
        training.run()
    again = Training(configuration(), tmp_path, quiet)
    assert again.resume()
    assert again.done == 16


def test_another_models_checkpoint_is_refused(tmp_path: Path) -> None:
    Training(configuration(), tmp_path, quiet).save()
    other = replace(configuration(), model=dict(TABLE["model"]) | {"dt_us": 2000})
    with pytest.raises(CheckpointError, match="another"):
        Training(other, tmp_path, quiet).resume()


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    training = Training(configuration(), tmp_path, quiet)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match="checkpoint"):
        training.resume()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": {"exmaples": 3}}, "exmaples"),
        ({"rule": {"prior": {"rate": 0.1}}}, "kind"),
        ({"rule": {"estimatr": "score"}}, "estimatr"),
        ({"data": {"kind": "cats"}}, "mnist"),
        ({"data": {"kind": "predictive-coding", "lags": 3}}, "options of data"),
        ({"data": {"kind": "predictive-coding", "lag": "x"}}, "lag of .data. must be a whole"),
        ({"training": {"examples": 0}}, "at least 1"),
        ({"training": {"schedule": "sawtooth"}}, "sawtooth"),
        ({"training": {"batch": "many"}}, "batch of .training. must be a whole number"),
        ({"training": {"learning_rate": "fast"}}, "must be a number; got 'fast'"),
        ({"training": {"learning_rate": -1.0}}, "learning_rate must be a finite number"),
        ({"training": {"warmup": -1}}, "warmup must be 0 or more"),
        ({"training": {"half": "no"}}, "must be true or false"),
        ({"training": {"largest_norm": -1.0}}, "largest_norm must be 0 or more"),
        ({"training": []}, ".training. must be a table"),
        ({"rule": {"prior": "learned"}}, "prior must be a table"),
        ({"rule": {"beta": math.inf}}, "beta must be a finite number"),
        ({"rule": {"n_samples": 0}}, "n_samples must be at least 1"),
        ({"rule": {"baseline_rate": 2.0}}, "baseline_rate must be above 0"),
        ({"seed": "x"}, "seed must be a whole number"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"name": "../x"}, "without a folder"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Training(configuration_from(TABLE | change), tmp_path, quiet)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("name = ")
    with pytest.raises(ConfigurationError, match=r"wrong\.toml"):
        read_configuration(path)


def test_the_cosine_schedule_by_hand() -> None:
    """1 at the start, 0.01 + 0.99 / 2 half way, 0.01 at the end; a warm-up rises to 1."""
    schedule = Schedule(examples=100, batch=10)
    assert schedule.factor(0) == 1.0
    assert abs(schedule.factor(50) - 0.505) < 1e-12
    assert abs(schedule.factor(100) - 0.01) < 1e-12
    warm = Schedule(examples=100, batch=10, schedule="constant", warmup=40)
    assert [warm.factor(done) for done in (0, 10, 30, 90)] == [0.25, 0.5, 1.0, 1.0]


def test_the_shipped_configurations_describe_models_that_can_be_built() -> None:
    from streamvdib.model import new_model

    folder = Path(__file__).parents[2] / "replay" / "experiments" / "configs"
    for path in folder.glob("nmnist*.toml"):
        found = read_configuration(path)
        assert new_model(json.loads(json.dumps(dict(found.model)))).name == found.name
