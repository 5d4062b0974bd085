"""What a learning rule is made of: constants only."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from streamvdib.errors import ConfigurationError
from streamvdib.learning.priors import BernoulliPrior, Prior

ESTIMATORS = ("pathwise", "score")
FEEDBACKS = ("symmetric", "random", "aligned")
CREDITS = ("windowed", "instantaneous")
BASELINES = ("none", "mean", "per-weight", "leave-one-out", "linear")
SAMPLED = ("leave-one-out", "linear")  # need other samples of the same example


@dataclass(frozen=True)
class Rule:
    """How the gradient of the VDIB loss (eq. 8) is estimated.

    Attributes:
        estimator: "pathwise" or "score" (module ``estimators``).
        beta: weight of the information cost, eq. 8.
        prior: q(y).
        feedback: how the readout's signal reaches hidden layers: through the transposed weights
            ("symmetric"), through fixed random ones ("random", eq. 21), or through random ones
            that learn to align with the weights ("aligned").
        credit: "windowed" sends the signal back through the spike response in time;
            "instantaneous" is eq. 20's truncation: a step is credited with that step's signal.
        baseline: what ``score`` takes off the common signal; "leave-one-out" is the mean of the
            other samples of the same example, "linear" what they foresee to first order,
            "per-weight" needs one lane.
        n_samples: lanes in a row that show the same example ("leave-one-out", "linear").
        baseline_rate: how fast the running means of "mean" and "per-weight" move.
    """

    estimator: str = "pathwise"
    beta: float = 1e-3
    prior: Prior = field(default_factory=BernoulliPrior)
    feedback: str = "symmetric"
    credit: str = "windowed"
    baseline: str = "mean"
    n_samples: int = 1
    baseline_rate: float = 0.01

    def __post_init__(self) -> None:
        for name, choices in (
            ("estimator", ESTIMATORS),
            ("feedback", FEEDBACKS),
            ("credit", CREDITS),
            ("baseline", BASELINES),
        ):
            if getattr(self, name) not in choices:
                raise ConfigurationError(
                    f"{name} must be one of {', '.join(choices)}; got {getattr(self, name)!r}"
                )
        if not 0.0 <= self.beta < math.inf:
            raise ConfigurationError(f"beta must be a finite number of 0 or more; got {self.beta}")
        if not 0.0 < self.baseline_rate <= 1.0:
            raise ConfigurationError(
                f"baseline_rate must be above 0 and at most 1; got {self.baseline_rate}"
            )
        if self.n_samples < 1:
            raise ConfigurationError(f"n_samples must be at least 1; got {self.n_samples}")
        if self.baseline in SAMPLED and self.n_samples < 2:
            raise ConfigurationError(
                f"a {self.baseline} baseline requires n_samples of at least 2; got {self.n_samples}"
            )


def rule_options(rule: Rule) -> dict[str, Any]:
    """The rule as plain values, for checkpoints and cards."""
    return {name: str(getattr(rule, name)) for name in rule.__dataclass_fields__}
