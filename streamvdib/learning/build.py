"""A streaming learner from plain options, as the command line gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamvdib.learning.configuration import rule_from
from streamvdib.learning.learner_state import Settings
from streamvdib.learning.online import OnlineLearner
from streamvdib.learning.optimisers import make_optimiser
from streamvdib.model import Model


def make_learner(
    model: Model,
    estimator: str = "pathwise",
    *,
    n_lanes: int = 1,
    update_every: int | None = None,
    learning_rate: float = 1e-4,
    decoder_learning_rate: float | None = None,
    optimiser: str = "adam",
    beta: float = 1e-3,
    prior: Mapping[str, Any] | None = None,
    feedback: str = "symmetric",
    credit: str = "windowed",
    baseline: str = "mean",
    largest_norm: float = 100.0,
    warm_up: int = 0,
    seed: int = 0,
) -> OnlineLearner:
    """A learner for an engine of ``n_lanes`` lanes that runs ``model``.

    Args:
        model: the engine's model; its decoder changes in place.
        estimator: "pathwise" or "score".
        n_lanes: ``Engine.n_lanes``.
        update_every: steps between updates; half the decoder's window if None.
        learning_rate: of the encoder.
        decoder_learning_rate: of the decoder; the encoder's if None.
        optimiser: "sgd", "momentum" or "adam".
        beta: weight of the information cost (eq. 8).
        prior: table such as ``{"kind": "learned"}``; Bern(0.3) if None.
        feedback: "symmetric", "random" or "aligned".
        credit: "windowed" or "instantaneous".
        baseline: of ``score``.
        largest_norm: gradients are clipped to it; 0 never clips.
        warm_up: steps before the first update.
        seed: of random feedback.

    Raises:
        ConfigurationError: an option that cannot be meant.
    """
    rule = rule_from(
        {
            "estimator": estimator,
            "beta": beta,
            "feedback": feedback,
            "credit": credit,
            "baseline": baseline,
            "prior": dict(prior) if prior else {"kind": "bernoulli", "rate": 0.3},
        }
    )
    settings = Settings(
        rule,
        make_optimiser(optimiser),
        make_optimiser(optimiser),
        learning_rate,
        decoder_learning_rate,
        largest_norm,
    )
    return OnlineLearner(
        model,
        settings,
        n_lanes=n_lanes,
        update_every=max(1, model.tau_d // 2) if update_every is None else update_every,
        warm_up=warm_up,
        seed=seed,
    )
