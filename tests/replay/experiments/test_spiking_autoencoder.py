"""The spiking-autoencoder experiment: encoding, metric, training, twins and report."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from streamvdib.replay.experiments.spiking_autoencoder_ann import (
    AnnRun,
    score_twin,
    train_twin,
)
from streamvdib.replay.experiments.spiking_autoencoder_files import (
    finished,
    read_weights,
    write_weights,
)
from streamvdib.replay.experiments.spiking_autoencoder_report import write_autoencoder_report
from streamvdib.replay.experiments.spiking_autoencoder_runs import RUNS, Run
from streamvdib.replay.experiments.spiking_autoencoder_training import (
    BALANCED_CURRENT,
    AutoencoderSettings,
    dense_network,
    initial_weights,
    normalised_mse,
    poisson_steps,
    score,
    train,
)

from streamvdib.errors import ConfigurationError
from streamvdib.learning.membrane_potential import MembranePotentialSettings

SMALL = AutoencoderSettings(
    n_hidden=24, n_steps=10, batch_size=10, initialisation="he",
    rule=MembranePotentialSettings(learning_rate=5e-3),
)  # fmt: skip


def bars(n_images: int, seed: int = 0) -> torch.Tensor:
    """Images of 6 x 6 pixels with one bright row or column."""
    generator = np.random.default_rng(seed)
    images = np.zeros((n_images, 6, 6), dtype=np.float32)
    for image in images:
        place = generator.integers(6)
        if generator.random() < 0.5:
            image[place] = 0.9
        else:
            image[:, place] = 0.9
    return torch.from_numpy(images.reshape(n_images, 36))


def test_pixels_spike_with_their_brightness_as_probability() -> None:
    """Law: the mean over many steps; black never, white always."""
    rates = torch.tensor([[0.0, 0.25, 1.0]])
    spikes = torch.stack(list(poisson_steps(rates, 4_000, torch.Generator().manual_seed(0))))
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
    mean = spikes.mean(0)[0]
    assert mean[0] == 0.0
    assert mean[1].item() == pytest.approx(0.25, abs=0.03)
    assert mean[2] == 1.0


def test_the_metric_ignores_brightness_and_contrast() -> None:
    """Law: MSE of a and 3 a + 2 is 0; of a and -a it is 4; by hand 2 (1 - r) otherwise."""
    images = torch.rand(3, 20, generator=torch.Generator().manual_seed(1))
    assert normalised_mse(images, 3 * images + 2) == pytest.approx(0.0, abs=1e-10)
    assert normalised_mse(images, -images) == pytest.approx(4.0)
    other = torch.rand(3, 20, generator=torch.Generator().manual_seed(2))
    pairs = zip(images.numpy(), other.numpy(), strict=True)
    expected = np.mean([2 * (1 - np.corrcoef(a, b)[0, 1]) for a, b in pairs])
    assert normalised_mse(images, other) == pytest.approx(expected)
    whole = 2 * (1 - np.corrcoef(images.numpy().ravel(), other.numpy().ravel())[0, 1])
    assert normalised_mse(images, other, per_image=False) == pytest.approx(whole)


def test_an_image_that_is_one_colour_has_a_finite_mse() -> None:
    assert normalised_mse(torch.zeros(1, 4), torch.eye(1, 4)) == pytest.approx(1.0)


def test_balanced_weights_give_every_hidden_neuron_the_same_current_on_the_mean() -> None:
    mean = torch.rand(36, generator=torch.Generator().manual_seed(0))
    weights = initial_weights(dense_network((36, 8, 36), 0.1), "balanced", 0, mean)
    current = mean @ weights[0].synapses[0]
    torch.testing.assert_close(current, torch.full((8,), BALANCED_CURRENT))


def test_an_unknown_initialisation_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="linear, he, balanced"):
        initial_weights(dense_network((3, 2, 3), 0.1), "zero", 0)


@pytest.mark.parametrize(
    "changes",
    [{}, {"rule": MembranePotentialSettings(learning_rate=5e-3, hidden_rate=0.0)},
     {"initialisation": "balanced", "final_rate": 0.1}],
)  # fmt: skip
def test_training_brings_back_images_that_were_not_shown(changes: dict[str, object]) -> None:
    """Law: far below an untrained network, and near what the coding itself loses."""
    settings = replace(SMALL, **changes)  # type: ignore[arg-type]
    trained = train(bars(600), settings)
    untrained = train(bars(600), settings, n_batches=1)
    test = bars(60, seed=1)
    before, after = score(untrained, test), score(trained, test)
    assert after.mse < 0.5 * before.mse
    assert after.mse < 0.8
    assert after.input_mse < after.mse


def test_a_hidden_rate_of_zero_leaves_the_hidden_layer_alone() -> None:
    rule = MembranePotentialSettings(learning_rate=5e-3, hidden_rate=0.0)
    settings = replace(SMALL, rule=rule)
    images = bars(50)
    start = initial_weights(dense_network((36, 24, 36), 0.1), "he", settings.seed)
    trained = train(images, settings)
    assert torch.equal(trained.weights[0].synapses, start[0].synapses)
    assert not torch.equal(trained.weights[1].synapses, start[1].synapses)


def test_the_same_seed_trains_the_same_network() -> None:
    first, second = train(bars(50), SMALL), train(bars(50), SMALL)
    for one, other in zip(first.weights, second.weights, strict=True):
        assert torch.equal(one.synapses, other.synapses)


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("keeps_mean_current", [False, True])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(
    tmp_path: Path, keeps_mean_current: bool
) -> None:
    """Law: run = stop at batch 25 + go on, to the bit; with other settings it begins anew."""
    file, images = tmp_path / "progress.safetensors", bars(400)
    rule = replace(SMALL.rule, keeps_mean_current=keeps_mean_current, forgets_moments=False)
    settings = replace(SMALL, final_rate=0.1, rule=rule)

    def stop(said: str) -> None:
        raise StoppedError(said)

    with pytest.raises(StoppedError, match="batch 25 of 40"):
        train(images, settings, say=stop, progress_file=file)
    whole, rest = train(images, settings), train(images, settings, progress_file=file)
    assert rest.curve == whole.curve
    assert rest.seconds > 0.0
    for one, other in zip(whole.weights, rest.weights, strict=True):
        assert torch.equal(one.synapses, other.synapses)
    other_seed = replace(settings, seed=1)
    anew = train(images, other_seed, progress_file=file)
    assert anew.curve == train(images, other_seed).curve


@pytest.mark.parametrize(("adam", "rate"), [(True, 1e-2), (False, 1.0)])
def test_a_twin_learns_to_bring_images_back(adam: bool, rate: float) -> None:
    run = AnnRun("twin", "mnist", 24, adam, rate, None)
    network, curve = train_twin(run, bars(3_000), batch_size=10)
    assert curve[-1][1] < 0.5 * curve[0][1]
    assert score_twin(network, bars(60, seed=1)) < 0.6


def test_weights_come_back_from_their_file_at_half_precision(tmp_path: Path) -> None:
    trained = train(bars(20), SMALL)
    write_weights(trained.weights, tmp_path / "w.safetensors")
    for kept, layer in zip(read_weights(tmp_path / "w.safetensors"), trained.weights, strict=True):
        torch.testing.assert_close(kept.synapses, layer.synapses.half().float())


def a_result(run: Run) -> dict[str, object]:
    settings = json.loads(json.dumps(run.settings, default=vars))
    return {
        "name": run.name, "settings": settings, "n_batches": 20, "train_seconds": 1.0,
        "scores": {"mse": 0.2, "mse_whole": 0.21, "spike_mse": 0.22, "input_mse": 0.01},
        "curve": [[n + 1, 1.0 / (n + 1), 1.1 / (n + 1)] for n in range(20)],
    }  # fmt: skip


def test_a_finished_run_is_found_again_only_with_the_same_settings(tmp_path: Path) -> None:
    run = RUNS["mnist-paper"]
    (tmp_path / "runs").mkdir()
    file = tmp_path / "runs" / "mnist-paper.json"
    assert finished(run, tmp_path) is None
    file.write_text(json.dumps(a_result(run)))
    assert finished(run, tmp_path) is not None
    assert finished(replace(run, settings=replace(run.settings, leak=0.2)), tmp_path) is None
    older = a_result(run)
    del older["settings"]["rule"]["keeps_mean_current"]  # type: ignore[index]
    file.write_text(json.dumps(older))
    assert finished(run, tmp_path) is not None, "a setting it is older than has its default"


def test_the_report_tells_every_run_that_is_done(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    results = {name: a_result(RUNS[name]) for name in ("mnist-paper", "leak-0.1", "no-mask")}
    twin = {
        "name": "mnist-ann", "dataset": "mnist", "adam": False, "learning_rate": 0.1, "mse": 0.3,
        "paper_mse": 0.226, "curve": [[n + 1, 0.5] for n in range(20)],
    }  # fmt: skip
    write_autoencoder_report(results, [twin], tmp_path, tmp_path, "the command")  # type: ignore[arg-type]
    page = (tmp_path / "spiking-autoencoder.md").read_text()
    for words in ("mnist-paper", "**0.2000**", "0.357", "no-mask", "mnist-ann", "the command"):
        assert words in page
    assert (tmp_path / "figure-3a.png").is_file()
    numbers = json.loads((tmp_path / "spiking-autoencoder.json").read_text())
    assert "curve" not in numbers["spiking"][0]


def test_every_run_of_the_paper_is_in_the_table() -> None:
    sizes = {(run.dataset, run.settings.n_hidden) for run in RUNS.values() if run.paper_mse}
    assert sizes == {("mnist", 196), ("fashion_mnist", 512), ("fashion_mnist", 1024)}
    paper = RUNS["mnist-paper"].settings
    assert (paper.n_steps, paper.leak, paper.batch_size) == (15, 0.1, 100)
    assert (paper.rule.learning_rate, paper.rule.weight_decay) == (5e-4, 1e-4)
    assert paper.rule.forgets_moments
    assert paper.rule.masked
