"""What the compiled learner demands of a rule, a model and an engine."""

from __future__ import annotations

from streamvdib.backends.numba_backend import NumbaBackend
from streamvdib.backends.numba_updates import LARGEST_GRADIENT
from streamvdib.connections import Dense
from streamvdib.engine import Engine
from streamvdib.learning.delayed_backend import DelayedBackend
from streamvdib.learning.learner_state import Settings
from streamvdib.learning.optimisers import SGD
from streamvdib.learning.priors import BernoulliPrior
from streamvdib.model import Model
from streamvdib.neurons.srm import SRM


def why_not_delayed(model: Model, settings: Settings) -> str:
    """What this rule and model lack for ``DelayedLearner``; empty where nothing is lacking."""
    rule, layers = settings.rule, model.encoder.layers
    demands = {
        "the estimator 'score'": rule.estimator == "score",
        "a fixed Bernoulli prior": isinstance(rule.prior, BernoulliPrior),
        "the baseline 'mean' or 'none'": rule.baseline in ("mean", "none"),
        "the optimiser 'sgd' for the encoder": settings.encoder_optimiser == SGD(),
        f"a divergence_norm of {LARGEST_GRADIENT:g}": settings.divergence_norm == LARGEST_GRADIENT,
        "dense layers": all(isinstance(layer.connection, Dense) for layer in layers),
        "SRM neurons": all(isinstance(layer.neuron, SRM) for layer in layers),
        "random feedback with instantaneous credit for hidden layers": len(layers) == 1
        or (rule.feedback, rule.credit) == ("random", "instantaneous"),
    }
    return ", ".join(demand for demand, is_met in demands.items() if not is_met)


def why_not_on(engine: Engine) -> str:
    """What an engine lacks for ``DelayedLearner``; empty where nothing is lacking."""
    if not isinstance(engine.backend, (NumbaBackend, DelayedBackend)):
        return "the numba backend"
    return "" if engine.n_lanes == 1 else f"one lane; this engine has {engine.n_lanes}"
