"""Every optimiser step against torch.optim, and clipping."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streamvdib.errors import ConfigurationError
from streamvdib.learning.optimisers import (
    SGD,
    Adam,
    Optimiser,
    OptimiserState,
    clip,
    gradient_norm,
    make_optimiser,
)

CASES = [
    (SGD(), torch.optim.SGD, {}),
    (SGD(momentum=0.9), torch.optim.SGD, {"momentum": 0.9}),
    (Adam(), torch.optim.Adam, {}),
    (Adam(0.8, 0.99, 1e-6), torch.optim.Adam, {"betas": (0.8, 0.99), "eps": 1e-6}),
]


@pytest.mark.parametrize(("ours", "theirs", "options"), CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_each_step_is_that_of_torch(
    ours: Optimiser, theirs: type, options: dict, dtype: torch.dtype
) -> None:
    """Twenty steps; float32 takes the compiled path of Adam, float64 the plain one."""
    generator = torch.Generator().manual_seed(0)
    tensors = {"a": torch.randn(3, 4, generator=generator).to(dtype),
               "b": torch.randn(5, generator=generator).to(dtype)}  # fmt: skip
    expected = {name: t.clone().requires_grad_() for name, t in tensors.items()}
    oracle = theirs(list(expected.values()), lr=0.05, **options)
    state = OptimiserState()
    for _ in range(20):
        gradients = {n: torch.randn(t.shape, generator=generator).to(dtype)
                     for n, t in tensors.items()}  # fmt: skip
        for name, tensor in expected.items():
            tensor.grad = gradients[name].clone()
        oracle.step()
        ours.update(tensors, gradients, state, 0.05)
    for name, tensor in tensors.items():
        torch.testing.assert_close(tensor, expected[name].detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimiser", [SGD(), SGD(momentum=0.9), Adam(), Adam(0.5, 0.999)])
@given(seed=st.integers(0, 2**31), n_updates=st.integers(1, 30))
def test_no_weight_changes_by_more_than_the_optimiser_says(
    optimiser: Optimiser, seed: int, n_updates: int
) -> None:
    """Gradients of one norm, most of them nothing: then Adam's steps are longest."""
    generator = torch.Generator().manual_seed(seed)
    tensors, state = {"w": torch.zeros(4, dtype=torch.float64)}, OptimiserState()
    for _ in range(n_updates):
        gradient = torch.zeros(4, dtype=torch.float64)
        if torch.rand(1, generator=generator) < 0.2:
            gradient[torch.randint(4, (1,), generator=generator)] = 3.0
        before = tensors["w"].clone()
        optimiser.update(tensors, {"w": gradient}, state, 0.1)
        change = float((tensors["w"] - before).abs().max())
        assert change <= optimiser.largest_change(3.0, 0.1) * (1 + 1e-12)


def test_the_largest_change_of_adam_comes_about() -> None:
    """One gradient after a long silence moves its weight by eta (1 - b1) / sqrt(1 - b2)."""
    tensors, state = {"w": torch.zeros(1, dtype=torch.float64)}, OptimiserState()
    for step in range(20_000):
        gradient = torch.full((1,), float(step == 19_999), dtype=torch.float64)
        Adam().update(tensors, {"w": gradient}, state, 0.1)
    assert abs(-float(tensors["w"]) / Adam().largest_change(1.0, 0.1) - 1) < 1e-3


def test_the_first_step_of_adam_by_hand() -> None:
    """m = 0.1 g, s = 0.001 g^2; both corrected: the step is eta g / |g|."""
    tensors = {"w": torch.tensor([1.0, 1.0])}
    Adam().update(tensors, {"w": torch.tensor([4.0, -0.5])}, OptimiserState(), 0.1)
    torch.testing.assert_close(tensors["w"], torch.tensor([0.9, 1.1]))


def test_a_learning_rate_of_zero_changes_no_bit() -> None:
    for optimiser in (SGD(), SGD(0.9), Adam()):
        tensors = {"w": torch.randn(7)}
        before = tensors["w"].clone()
        optimiser.update(tensors, {"w": torch.randn(7)}, OptimiserState(), 0.0)
        assert torch.equal(tensors["w"], before)


def test_tensors_without_a_gradient_stay() -> None:
    tensors = {"a": torch.ones(2), "b": torch.ones(2)}
    Adam().update(tensors, {"b": torch.ones(2)}, OptimiserState(), 0.1)
    assert tensors["a"].tolist() == [1.0, 1.0]
    assert tensors["b"].tolist() != [1.0, 1.0]


def test_clipping_by_hand() -> None:
    """(3, 4) has norm 5; clipped to 1 it is (0.6, 0.8); clipped to 10 it stays."""
    gradients = {"a": torch.tensor([3.0]), "b": torch.tensor([4.0])}
    norm = gradient_norm(gradients)
    assert math.isclose(float(norm), 5.0)
    clip(gradients, norm, 10.0)
    torch.testing.assert_close(gradients["a"], torch.tensor([3.0]))
    clip(gradients, norm, 1.0)
    torch.testing.assert_close(gradients["b"], torch.tensor([0.8]))


def test_an_unknown_optimiser_is_named() -> None:
    with pytest.raises(ConfigurationError, match="sgd, momentum, adam"):
        make_optimiser("rmsprop")
