"""Reference priors q(y): what the readout's spikes are compared with (eq. 8).

    KL_t = sum_i p (a_u - a_r) + softplus(a_r) - softplus(a_u),    p = sigma(a_u)
    sampled: the same with y in place of p;  a_u = u_{i,t}, a_r = logit of q(y_{i,t} = 1 | past)

Three kinds: i.i.d. Bern(r) with one r or one per neuron, the same with r learned, and one with
memory whose logit looks at the neuron's own last spikes. The paper fixes the prior and names
learning it as future work. Nats throughout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from streamvdib.errors import ConfigurationError

Parameters = Mapping[str, Tensor]


class Prior(Protocol):
    """Constants of a prior; its learned parameters are a separate table of tensors."""

    @property
    def memory(self) -> int:
        """How many steps before its own a logit looks at."""

    def initial_parameters(self, n_neurons: int) -> dict[str, Tensor]:
        """What is learned; empty where nothing is."""

    def logits(self, parameters: Parameters, spikes: Tensor) -> Tensor:
        """a_r of every step given the steps before it, broadcastable to ``spikes``.

        Args:
            parameters: current values.
            spikes: y, (n_steps, n_lanes, n_neurons).
        """


@dataclass(frozen=True)
class BernoulliPrior:
    """q(y_{i,t}) = Bern(r_i), fixed; ``rate`` is one number or one per neuron."""

    rate: float | tuple[float, ...] = 0.3

    def __post_init__(self) -> None:
        _check_rates(*(self.rate if isinstance(self.rate, tuple) else (self.rate,)))

    @property
    def memory(self) -> int:
        """See ``Prior``."""
        return 0

    def initial_parameters(self, n_neurons: int) -> dict[str, Tensor]:
        """See ``Prior``."""
        if isinstance(self.rate, tuple) and len(self.rate) != n_neurons:
            raise ConfigurationError(
                f"a prior must have one rate or one per readout neuron ({n_neurons}); "
                f"got {len(self.rate)}"
            )
        return {}

    def logits(self, parameters: Parameters, spikes: Tensor) -> Tensor:
        """See ``Prior``."""
        return torch.logit(torch.tensor(self.rate, dtype=spikes.dtype, device=spikes.device))


@dataclass(frozen=True)
class LearnedPrior:
    """q(y_{i,t}) = Bern(r_i) with r_i learned, from ``rate``."""

    rate: float = 0.3

    def __post_init__(self) -> None:
        _check_rates(self.rate)

    @property
    def memory(self) -> int:
        """See ``Prior``."""
        return 0

    def initial_parameters(self, n_neurons: int) -> dict[str, Tensor]:
        """See ``Prior``."""
        return {"prior.logit": torch.full((n_neurons,), math.log(self.rate / (1 - self.rate)))}

    def logits(self, parameters: Parameters, spikes: Tensor) -> Tensor:
        """See ``Prior``."""
        return parameters["prior.logit"].to(spikes.dtype)


@dataclass(frozen=True)
class AutoregressivePrior:
    """q(y_{i,t} = 1 | past) = sigma(b_i + sum_{d=1}^{memory} v_{i,d} y_{i,t-d}), all learned."""

    rate: float = 0.3
    memory: int = 5

    def __post_init__(self) -> None:
        _check_rates(self.rate)
        if not isinstance(self.memory, int) or self.memory < 1:
            raise ConfigurationError(
                f"the memory of a prior must be a whole number of steps, at least 1; "
                f"got {self.memory!r}"
            )

    def initial_parameters(self, n_neurons: int) -> dict[str, Tensor]:
        """See ``Prior``."""
        logit = math.log(self.rate / (1 - self.rate))
        return {
            "prior.logit": torch.full((n_neurons,), logit),
            "prior.memory": torch.zeros(self.memory, n_neurons),
        }

    def logits(self, parameters: Parameters, spikes: Tensor) -> Tensor:
        """See ``Prior``."""
        logits = parameters["prior.logit"].expand(spikes.shape).to(spikes.dtype)
        for lag, weight in enumerate(parameters["prior.memory"], start=1):
            past = functional.pad(spikes, (0, 0, 0, 0, lag, 0))[: len(spikes)]
            logits = logits + weight.to(spikes.dtype) * past
        return logits


PRIORS: dict[str, type[BernoulliPrior] | type[LearnedPrior] | type[AutoregressivePrior]] = {
    "bernoulli": BernoulliPrior,
    "learned": LearnedPrior,
    "autoregressive": AutoregressivePrior,
}


def _check_rates(*rates: float) -> None:
    is_right = [isinstance(rate, int | float) and 0.0 < rate < 1.0 for rate in rates]
    if not (rates and all(is_right)):
        raise ConfigurationError(
            "the rate of a prior must lie between 0 and 1 (only that of 'bernoulli' may be a list, "
            f"one for each readout neuron); got {', '.join(map(repr, rates)) or 'none'}"
        )


def make_prior(kind: str, **options: float | Sequence[float]) -> Prior:
    """The prior of that kind; a list of rates, as in TOML, is one per readout neuron."""
    if kind not in PRIORS:
        raise ConfigurationError(f"a prior must be one of {', '.join(PRIORS)}; got {kind!r}")
    if kind == "bernoulli" and isinstance(options.get("rate"), list):
        options["rate"] = tuple(options["rate"])  # type: ignore[arg-type]
    try:
        return PRIORS[kind](**options)  # type: ignore[arg-type]
    except TypeError as error:
        raise ConfigurationError(f"the options of prior {kind!r} are wrong: {error}") from None


def cost(probability_or_spikes: Tensor, potentials: Tensor, prior_logits: Tensor) -> Tensor:
    """Information cost per neuron and step in nats; closed form given p, sampled given y.

    Args:
        probability_or_spikes: sigma(u), or y.
        potentials: u, same shape.
        prior_logits: a_r, broadcastable.
    """
    expected = probability_or_spikes * (potentials - prior_logits)
    return expected - functional.softplus(potentials) + functional.softplus(prior_logits)
