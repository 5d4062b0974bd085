"""A streaming learner from plain options, as the command line gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamvdib.engine import Engine
from streamvdib.errors import ConfigurationError
from streamvdib.learning.configuration import rule_from
from streamvdib.learning.delayed import DelayedLearner
from streamvdib.learning.delayed_demands import why_not_delayed, why_not_on
from streamvdib.learning.learner_state import Settings
from streamvdib.learning.online import OnlineLearner
from streamvdib.learning.optimisers import make_optimiser
from streamvdib.model import Model
from streamvdib.reduced_weights import check_can_learn

LEARNER_BACKENDS = ("auto", "torch", "compiled")


def make_learner(
    model: Model,
    estimator: str = "pathwise",
    *,
    n_lanes: int = 1,
    engine: Engine | None = None,
    backend: str = "auto",
    update_every: int | None = None,
    target_every: int | None = None,
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
) -> OnlineLearner | DelayedLearner:
    """A learner for an engine of ``n_lanes`` lanes that runs ``model``.

    Args:
        model: the engine's model; its decoder changes in place.
        estimator: "pathwise" or "score".
        n_lanes: ``Engine.n_lanes``.
        engine: that will learn; compiled loops learn only as those of an engine.
        backend: "torch" takes any rule; "compiled" makes the same updates in the engine's loops,
            where rule, model and engine allow it (module ``delayed``); "auto" takes what it can.
        update_every: steps between updates; half the decoder's window if None.
        target_every: steps between targets, where the encoder learns at every step in between as
            well (``update_every`` 1, compiled); ``update_every`` if None.
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
        ConfigurationError: an option that cannot be meant, or the model's weights are rounded.
    """
    check_can_learn(model)
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
    if rule.baseline == "per-weight" and n_lanes != 1:
        raise ConfigurationError(
            f"a per-weight baseline requires one lane; got {n_lanes}. Use the baseline 'mean'."
        )
    settings = Settings(
        rule,
        make_optimiser(optimiser),
        make_optimiser(optimiser),
        learning_rate,
        decoder_learning_rate,
        largest_norm,
    )
    every = max(1, model.tau_d // 2) if update_every is None else update_every
    between = every if target_every is None else target_every
    if between < 1:
        raise ConfigurationError(f"target_every must be at least 1 step; got {between}")
    why = _why_not_compiled(model, settings, engine, every, between)
    if not _is_compiled(backend, why, needs_it=between != every):
        return OnlineLearner(
            model, settings, n_lanes=n_lanes, update_every=every, warm_up=warm_up, seed=seed
        )
    learner = DelayedLearner(
        model, settings, decode_every=between, every_step=every == 1, warm_up=warm_up, seed=seed
    )
    assert engine is not None
    learner.attach(engine)
    return learner


def _why_not_compiled(
    model: Model, settings: Settings, engine: Engine | None, every: int, between: int
) -> str:
    """What a compiled learner still needs; empty where it can be had."""
    lacks = [why_not_delayed(model, settings)]
    lacks.append("the engine that will learn" if engine is None else why_not_on(engine))
    lacks.append("update_every 1 where targets come less often" if 1 != every != between else "")
    return ", ".join(lack for lack in lacks if lack)


def _is_compiled(backend: str, why: str, *, needs_it: bool) -> bool:
    """Whether the compiled learner is taken.

    Raises:
        ConfigurationError: it is asked for, or what is asked for needs it, and it cannot be had.
    """
    if backend not in LEARNER_BACKENDS:
        raise ConfigurationError(
            f"the backend of a learner must be one of {', '.join(LEARNER_BACKENDS)}; "
            f"got {backend!r}"
        )
    if backend == "compiled" and why:
        raise ConfigurationError(
            f"the compiled learner requires {why}. Use the learner backend 'torch' or 'auto'."
        )
    if needs_it and (backend == "torch" or why):
        raise ConfigurationError(
            "learning at every step from targets that come less often requires the compiled "
            f"learner; {f'it requires {why}' if why else 'torch was asked for'}"
        )
    return backend != "torch" and not why
