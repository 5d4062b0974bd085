"""The experiments run end to end at a small size, and say what they did."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from streamvdib.replay.experiments.davis import (
    Baselines,
    Interval,
    LogCorrection,
    cut_interval,
    score,
    summarize,
)
from streamvdib.replay.experiments.mnist import Run, mnist_configuration
from streamvdib.replay.experiments.mnist_dvs import (
    Case,
    case_configuration,
    nearest_neighbour_purity,
)
from streamvdib.replay.experiments.progressive import running_means
from streamvdib.replay.experiments.reports import (
    all_kept,
    commands_of,
    kept,
    markdown_table,
    write_report,
)

from streamvdib.errors import ConfigurationError
from streamvdib.events import EVENT_DTYPE, SensorSize, TimedImage


def interval(before: float, after: float, count: float) -> Interval:
    counts = np.array([[count, 0.0]], np.float32)
    frame = np.full((1, 2), before, np.float32)
    seen = counts != 0
    after_frame = np.full((1, 2), after, np.float32)
    return Interval(None, counts, seen, np.ones_like(seen), frame, after_frame)  # type: ignore[arg-type]


def test_the_integrators_contrast_by_hand() -> None:
    """Two ON events and a rise of the log by 0.6: c = 0.3; the estimate then follows it."""
    first = interval(0.1, 0.12 * np.exp(0.6) - 0.02, 2.0)
    baselines = Baselines()
    assert baselines.contrast == 0.0
    baselines.show(first)
    assert abs(baselines.contrast - 0.3) < 1e-6
    estimate = baselines.estimates(first)["fitted integrator"]
    np.testing.assert_allclose(estimate[0, 0], first.after[0, 0], rtol=1e-5)
    np.testing.assert_allclose(estimate[0, 1], 0.1, rtol=1e-5)


def test_scores_pool_the_pixels_on_which_events_fell() -> None:
    one, other = interval(0.0, 0.5, 1.0), interval(0.0, 1.0, 1.0)
    errors = [{"n_seen": int(i.seen.sum()), "held": score(i.before, i)} for i in (one, other)]
    found = summarize(errors)["held"]
    assert found["event_pixels"] == pytest.approx((0.25 + 1.0) / 2)
    assert found["near_events"] == pytest.approx((0.25 + 1.0) / 2)


def test_near_an_event_are_the_eight_pixels_around_it() -> None:
    events = np.zeros(1, EVENT_DTYPE)
    events[0] = (5, 0, 2, True)
    images = [TimedImage(t_us, np.zeros((4, 5), np.uint8)) for t_us in (0, 30)]
    found = cut_interval(events, *images, SensorSize(5, 4), dt_us=10, n_steps=3)
    expected = np.zeros((4, 5), bool)
    expected[1:4, 0:2] = True
    np.testing.assert_array_equal(found.near, expected)
    assert found.seen.sum() == 1


def test_the_correction_begins_as_the_frame_shown_last() -> None:
    decoder = LogCorrection(2, 2, SensorSize(3, 4))
    decoder.last.copy_(torch.rand(4, 3))
    estimate = decoder(torch.ones(1, 2, 2 * 4 * 3))
    torch.testing.assert_close(estimate[0], decoder.last)


def test_every_cell_of_the_mnist_table_is_a_valid_configuration() -> None:
    for method in ("pathwise", "score", "score-paper"):
        found = mnist_configuration(Run("ttfs", "rate", method, 100), "folder", 0)
        assert found.model["decoder"]["view"] == "rate"
        assert found.rule.estimator == method.split("-")[0]


def test_a_decoder_of_mnist_dvs_sees_the_whole_recording_whatever_the_bins() -> None:
    found = {
        dt_us: case_configuration(Case("nmnist", dt_us, "folder"), "window", "mnist", 80, 10, 0)
        for dt_us in (10_000, 25_000)
    }
    assert [f.model["decoder"]["tau_d"] for f in found.values()] == [31, 12]
    assert {f.training.batch for f in found.values()} == {8}


def test_purity_by_hand() -> None:
    """Two pairs of equal spike trains; then labels that cross them."""
    spikes = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1]]).view(4, 2, 1)
    assert nearest_neighbour_purity(spikes, np.array([0, 0, 1, 1])) == 1.0
    assert nearest_neighbour_purity(spikes, np.array([0, 1, 0, 1])) == 0.0


def test_running_means_by_hand() -> None:
    assert running_means(np.array([0.0, 1.0, 1.0, 1.0, 5.0]), 2) == [(2, 0.5), (4, 1.0)]


def test_a_report_holds_its_command_and_numbers(tmp_path: Path) -> None:
    table = markdown_table(["a"], [["1"]])
    write_report(tmp_path, "trial", "A trial", table, {"seed": 4}, "streamvdib reproduce trial")
    assert "`streamvdib reproduce trial`" in (tmp_path / "trial.md").read_text()
    assert json.loads((tmp_path / "trial.json").read_text())["seed"] == 4


def test_a_result_is_made_once_and_only_for_what_was_asked(tmp_path: Path) -> None:
    made = []

    def make() -> int:
        made.append(1)
        return len(made)

    path = tmp_path / "results" / "one.json"
    assert [kept(path, {"seed": 0}, make) for _ in range(2)] == [1, 1]
    with pytest.raises(ConfigurationError, match=r"'seed': 1.*'seed': 0.*another --out"):
        kept(path, {"seed": 1}, make)
    assert kept(path.with_name("a.json"), {"seed": 1}, make) == 2
    assert all_kept(path.parent) == [2, 1]


def test_each_command_is_named_once_with_its_rows() -> None:
    rows = [("a", "run 1"), ("b", "run 2"), ("c", "run 1")]
    assert commands_of(rows) == "* `run 1`: a; c\n* `run 2`: b"
