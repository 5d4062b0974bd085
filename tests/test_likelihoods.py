"""Likelihoods against torch.distributions, and by hand."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Normal

from streamvdib.errors import ConfigurationError
from streamvdib.likelihoods import likelihood


def test_the_bernoulli_loss_of_a_fair_guess_is_ln_two_per_pixel() -> None:
    loss = likelihood("bernoulli").log_loss(torch.zeros(1, 3), torch.tensor([[0.0, 0.5, 1.0]]))
    assert loss.item() == pytest.approx(3 * math.log(2))


def test_losses_are_the_negative_log_probabilities_of_the_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    parameters = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    bits = (torch.rand(4, 6, generator=generator) < 0.5).double()
    values = torch.rand(4, 6, generator=generator, dtype=torch.float64)
    classes = torch.tensor([0, 3, 5, 1])
    onehot = torch.nn.functional.one_hot(classes, 6).double()
    torch.testing.assert_close(
        likelihood("bernoulli").log_loss(parameters, bits),
        -Bernoulli(logits=parameters).log_prob(bits).sum(1),
    )
    torch.testing.assert_close(
        likelihood("gaussian", 0.3).log_loss(parameters, values),
        -Normal(parameters, 0.3).log_prob(values).sum(1),
    )
    torch.testing.assert_close(
        likelihood("categorical").log_loss(parameters, onehot),
        -Categorical(logits=parameters).log_prob(classes),
    )


def test_the_estimate_minimises_the_expected_loss() -> None:
    """Law: for a target of mean m the Bernoulli loss is least where the estimate is m."""
    target = torch.tensor([[0.3]], dtype=torch.float64)
    parameters = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    for _ in range(200):
        loss = likelihood("bernoulli").log_loss(parameters, target).sum()
        (gradient,) = torch.autograd.grad(loss, parameters)
        parameters = (parameters - 2 * gradient).detach().requires_grad_()
    assert likelihood("bernoulli").estimate(parameters).item() == pytest.approx(0.3)


def test_an_unknown_likelihood_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="bernoulli, gaussian, categorical; got 'poisson'"):
        likelihood("poisson")
