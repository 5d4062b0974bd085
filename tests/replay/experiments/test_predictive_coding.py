"""Predictive coding: trainings side by side are what each is alone."""

from __future__ import annotations

import pytest
import torch
from streamvdib.replay.experiments.predictive_coding import (
    BATCH,
    Effort,
    Point,
    Trial,
    points,
    rates,
    rule_of,
    run_trials,
)
from streamvdib.replay.experiments.predictive_coding_together import TrainingsTogether

from streamvdib.learning.batch import BatchLearner
from streamvdib.learning.learner_state import LearnerState, Settings


def together(trials: list[Trial], n_updates: int) -> list[dict[str, torch.Tensor]]:
    rule = rule_of(trials[0].point)
    found = TrainingsTogether([t.model() for t in trials], [t.seed for t in trials], rule)
    for number in range(n_updates):
        found.learn([t.examples().lesson(t.examples().blobs(number, BATCH)) for t in trials], 0.05)
    return [model.tensors() for model in found.models_now()]


def alone(trial: Trial, n_updates: int) -> dict[str, torch.Tensor]:
    """The learner that ``streamvdib train`` uses: autograd through the decoder, one model."""
    state = LearnerState(trial.model(), Settings(rule_of(trial.point)), seed=trial.seed)
    learner = BatchLearner(state, seed=trial.seed)
    for number in range(n_updates):
        learner.learn(trial.examples().batch(number, BATCH), 0.05, 0.05)
    return state.model.with_weights(state.weights).tensors()


@pytest.mark.parametrize(
    "point",
    [
        Point(),
        Point(tau_d=2, tau_e=3, beta=1.0),
        Point(prior="learned"),
        Point(estimator="score", prior="learned"),
    ],
)
def test_a_training_side_by_side_is_the_offline_learners(point: Point) -> None:
    trials = [Trial(point, 0), Trial(point, 7)]
    for trial, found in zip(trials, together(trials, 4), strict=True):
        expected = alone(trial, 4)
        assert set(found) == set(expected)
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_a_training_does_not_know_of_those_beside_it() -> None:
    trials = [Trial(Point(lag=lag), seed) for lag in (-3, 0, 2) for seed in (0, 1)]
    for trial, found in zip(trials, together(trials, 4), strict=True):
        (expected,) = together([trial], 4)
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_predictive_coding_learns_more_than_guessing() -> None:
    (found,) = run_trials([Trial(Point(beta=0.01), 0)], Effort(sequences=1200))
    assert found["accuracy"] > 0.03  # guessing: 0.01
    assert {sweep for sweep, _ in points()} == {"lag", "beta", "tau_e", "tau_d", "estimator"}


def test_the_rate_falls_to_a_hundredth() -> None:
    found = list(rates(Effort(sequences=100, learning_rate=1.0)))
    assert (len(found), found[0]) == (10, 1.0)
    assert found[-1] == pytest.approx(1 - 0.99 * 0.9)
