"""The streamed evaluation: its frames are those of the batched path, its scores add up."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from streamvdib.replay.datasets.opening import open_dataset
from streamvdib.replay.experiments.evaluation import decoded, evaluate
from streamvdib.replay.experiments.lenet import load_lenet
from streamvdib.replay.experiments.nmnist_examples import as_inputs, pack_recordings

from streamvdib.engine import Engine
from streamvdib.errors import ConfigurationError, RecordingError
from streamvdib.events import SensorSize
from streamvdib.geometry import fit_geometry
from streamvdib.learning.batch import decode_sequences
from streamvdib.learning.learner_state import LearnerState, Settings
from streamvdib.model import Model, load_model, new_model
from tests.learning.networks import dense

SIZE = SensorSize(34, 34)


def small_model(output: tuple[int, int] = (28, 28)) -> Model:
    return new_model(
        {
            "dt_us": 10_000,
            "input_shape": [2, 34, 34],
            "layers": [dense(30), dense(10, stochastic=True)],
            "decoder": {"kind": "linear", "tau_d": 6, "output_shape": list(output)},
        }
    )


def test_streamed_frames_are_those_of_the_batched_path(shared_data: Path) -> None:
    """The same model, seed and recording; 30 steps, each with its frame."""
    from dataclasses import replace

    data_set = open_dataset(shared_data / "nmnist")
    first = replace(data_set, recordings=list(data_set.recordings)[:1])
    model = small_model()
    geometry = fit_geometry(SIZE, model.encoder.input_shape)
    engine = Engine(model, None, seed=1, backend="torch")
    streamed = decoded(engine, geometry, first.recordings[0])[:30]
    packed = pack_recordings(first)
    inputs = as_inputs(packed.steps.unpack(slice(0, 1)))
    state = LearnerState(model, Settings())
    batched, _ = decode_sequences(state, inputs, list(range(30)), seed=1)
    torch.testing.assert_close(streamed, batched[:, 0], rtol=1e-4, atol=1e-5)


def test_scores_cover_every_recording_and_time(shared_data: Path) -> None:
    recordings = open_dataset(shared_data / "nmnist").split("validation").recordings[:5]
    model = small_model()
    geometry = fit_geometry(SIZE, model.encoder.input_shape)
    ticks: list[int] = []
    found = evaluate(model, geometry, recordings, load_lenet(), done=ticks.append)
    assert ticks == [1, 2, 3, 4, 5]
    assert found.n_recordings == 5
    assert found.by_time[0]["time_ms"] == 10.0
    assert found.by_time[0]["n"] == 5
    assert set(found.last) == {"accuracy", "mse", "ssim"}
    assert found.as_table()["last_frame"] == found.last


def test_what_cannot_be_scored_is_refused() -> None:
    geometry = fit_geometry(SIZE, (2, 34, 34))
    with pytest.raises(ConfigurationError, match=r"\(28, 28\)"):
        evaluate(small_model((2, 2)), geometry, [], load_lenet())
    with pytest.raises(RecordingError, match="at least one"):
        evaluate(small_model(), geometry, [], load_lenet())


def test_the_shipped_model_naturalizes_recordings_it_never_saw(shared_data: Path) -> None:
    recordings = open_dataset(shared_data / "nmnist").split("validation").recordings[:50]
    model = load_model("nmnist")
    geometry = fit_geometry(SIZE, model.encoder.input_shape)
    found = evaluate(model, geometry, recordings, load_lenet())
    assert found.last["accuracy"] >= 0.9
