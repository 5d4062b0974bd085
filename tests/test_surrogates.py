"""Surrogate derivatives: by hand, and against the curves they are the derivatives of."""

import pytest
import torch

from streamvdib.errors import ConfigurationError
from streamvdib.surrogates import surrogate_derivative

POTENTIALS = torch.linspace(-3, 3, 41, dtype=torch.float64)


def test_the_boxcar_is_open_below_and_closed_above() -> None:
    potential = torch.tensor([-0.51, -0.5, -0.49, 0.0, 0.5, 0.51])
    assert surrogate_derivative("boxcar", potential).tolist() == [0, 0, 1, 1, 1, 0]


def test_the_sigmoid_surrogate_is_the_derivative_of_the_sigmoid() -> None:
    u = POTENTIALS.clone().requires_grad_()
    torch.sigmoid(u).sum().backward()
    torch.testing.assert_close(surrogate_derivative("sigmoid", POTENTIALS), u.grad)


def test_superspike_is_the_derivative_of_the_fast_sigmoid() -> None:
    u = (POTENTIALS + 0.01).requires_grad_()
    (u / (1 + u.abs())).sum().backward()
    torch.testing.assert_close(surrogate_derivative("superspike", u.detach()), u.grad)


def test_an_unknown_surrogate_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="one of boxcar, sigmoid, superspike; got 'relu'"):
        surrogate_derivative("relu", POTENTIALS)
