"""Information cost and priors: by hand, laws, and torch.distributions as the oracle."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Bernoulli, kl_divergence

from streamvdib.errors import ConfigurationError
from streamvdib.learning.priors import (
    AutoregressivePrior,
    BernoulliPrior,
    LearnedPrior,
    cost,
    make_prior,
)


def test_the_cost_by_hand() -> None:
    """P = 1/2 against r = 1/4: log(1/2) - [log(1/4) + log(3/4)] / 2 = log 2 - log(3) / 2."""
    found = cost(torch.tensor(0.5), torch.tensor(0.0), torch.logit(torch.tensor(0.25)))
    assert math.isclose(float(found), math.log(2) - math.log(3) / 2, rel_tol=1e-6)


@given(u=st.floats(-6, 6), r=st.floats(0.01, 0.99))
def test_the_closed_form_is_torchs_divergence(u: float, r: float) -> None:
    potential = torch.tensor(u, dtype=torch.float64)
    rate = torch.tensor(r, dtype=torch.float64)
    found = cost(torch.sigmoid(potential), potential, torch.logit(rate))
    oracle = kl_divergence(Bernoulli(logits=potential), Bernoulli(rate))
    torch.testing.assert_close(found, oracle)
    assert found >= -1e-12


@given(u=st.floats(-6, 6), r=st.floats(0.01, 0.99))
def test_the_mean_of_the_sampled_cost_is_the_closed_form(u: float, r: float) -> None:
    potential = torch.tensor(u, dtype=torch.float64)
    logit = torch.logit(torch.tensor(r, dtype=torch.float64))
    p = torch.sigmoid(potential)
    one, zero = (cost(torch.tensor(y, dtype=torch.float64), potential, logit) for y in (1.0, 0.0))
    torch.testing.assert_close(p * one + (1 - p) * zero, cost(p, potential, logit))


def test_a_prior_equal_to_the_readout_costs_nothing() -> None:
    potential = torch.tensor([-1.0, 0.3])
    torch.testing.assert_close(
        cost(torch.sigmoid(potential), potential, potential), torch.zeros(2), atol=1e-7, rtol=0
    )


def test_a_rate_per_neuron() -> None:
    prior = BernoulliPrior((0.2, 0.5))
    assert prior.initial_parameters(2) == {}
    logits = prior.logits({}, torch.zeros(3, 1, 2))
    torch.testing.assert_close(torch.sigmoid(logits), torch.tensor([0.2, 0.5]))
    with pytest.raises(ConfigurationError, match="one rate or one per readout neuron"):
        prior.initial_parameters(3)


def test_a_list_of_rates_as_a_file_gives_it_is_one_per_neuron() -> None:
    assert make_prior("bernoulli", rate=[0.2, 0.5]) == BernoulliPrior((0.2, 0.5))


def test_learned_priors_begin_at_their_rate() -> None:
    for prior in (LearnedPrior(0.1), AutoregressivePrior(0.1, memory=2)):
        logits = prior.logits(prior.initial_parameters(2), torch.zeros(4, 1, 2))
        torch.testing.assert_close(torch.sigmoid(logits).mean(), torch.tensor(0.1))


def test_a_prior_with_memory_by_hand() -> None:
    """B = 0, v = (1, 10): spikes 1, 0, 1 give logits 0, 1, 10, each of earlier steps only."""
    parameters = {"prior.logit": torch.zeros(1), "prior.memory": torch.tensor([[1.0], [10.0]])}
    spikes = torch.tensor([1.0, 0.0, 1.0]).view(3, 1, 1)
    logits = AutoregressivePrior(memory=2).logits(parameters, spikes)
    assert logits.flatten().tolist() == [0.0, 1.0, 10.0]


def test_rates_outside_the_unit_interval_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="between 0 and 1"):
        BernoulliPrior(1.0)
    for wrong in (
        {"kind": "learned", "rate": 0.0},
        {"kind": "autoregressive", "rate": -1.0},
        {"kind": "learned", "rate": [0.1, 0.2]},
        {"kind": "bernoulli", "rate": [0.1, "x"]},
        {"kind": "bernoulli", "rate": []},
    ):
        with pytest.raises(ConfigurationError, match="between 0 and 1"):
            make_prior(**wrong)
    with pytest.raises(ConfigurationError, match="whole number of steps"):
        make_prior("autoregressive", memory=2.5)
    with pytest.raises(ConfigurationError, match="bernoulli, learned, autoregressive"):
        make_prior("gaussian")
