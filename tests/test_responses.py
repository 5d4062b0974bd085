"""Responses: by hand, by law, against the recursions they stand for."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamvdib.errors import ConfigurationError
from streamvdib.responses import (
    Response,
    cascaded_exponentials,
    exponential,
    exponential_sum,
    finite,
    raised_cosines,
)

decays = st.floats(0.05, 0.95)


def test_an_exponential_of_one_half_halves_each_step_and_ends_after_tau_e() -> None:
    assert exponential(0.5, 4).kernels == ((1.0, 0.5, 0.25, 0.125),)


def test_cascaded_exponentials_begin_at_zero_and_then_at_the_product_of_the_gains() -> None:
    """By hand, a = 1/2, b = 1/4: Q = 4/3, 1/3; P = 0, 2 * 4/3, 1/2 * 8/3 + 2 * 1/3."""
    kernel = cascaded_exponentials(0.5, 0.25, 3).kernels[0]
    assert kernel == pytest.approx((0.0, 8 / 3, 2.0))


@given(decays, decays)
def test_cascaded_exponentials_are_what_the_two_recursions_give(a: float, b: float) -> None:
    if abs(a - b) < 1e-3:
        return
    q = p = 0.0
    expected = []
    for lag in range(20):
        p = a * p + q / (1 - a)
        q = b * q + (1.0 if lag == 0 else 0.0) / (1 - b)
        expected.append(p)
    assert cascaded_exponentials(a, b, 20).kernels[0] == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(st.lists(st.tuples(st.floats(-2, 2), decays), min_size=1, max_size=3), st.integers(1, 30))
def test_the_exponentials_of_a_response_sum_to_its_kernel(
    terms: list[tuple[float, float]], tau_e: int
) -> None:
    response = exponential_sum(terms, tau_e)
    total = [sum(c * a**lag for c, a in response.exponentials) for lag in range(tau_e)]
    assert response.kernels[0] == pytest.approx(total)
    assert response.tau_e == tau_e


def test_a_single_raised_cosine_falls_from_one_to_one_half() -> None:
    kernel = raised_cosines(1, 10).kernels[0]
    assert kernel[0] == pytest.approx(1.0)
    assert kernel[-1] == pytest.approx(0.5)
    assert all(left > right for left, right in itertools.pairwise(kernel))


def test_eight_raised_cosines_over_ten_steps_peak_later_and_later() -> None:
    kernels = np.array(raised_cosines(8, 10).kernels)
    peaks = kernels.argmax(1)
    assert kernels.shape == (8, 10)
    assert peaks[0] == 0
    assert peaks[-1] == 9
    assert (np.diff(peaks) >= 0).all()
    assert kernels.min() >= 0
    assert kernels.max() <= 1


def test_neighbouring_bumps_sum_to_two_inside_their_range() -> None:
    """Law: bumps of half-width 2 D, spaced by D, sum to 2 where four overlap (cosines cancel)."""
    kernels = np.array(raised_cosines(8, 200).kernels)
    axis = np.log(np.arange(200) + 20.0)
    spacing = (axis[-1] - axis[0]) / 7
    inside = (axis > axis[0] + spacing) & (axis < axis[-1] - spacing)
    assert kernels.sum(0)[inside] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: exponential(0.5, 0), "tau_e must be at least 1 step; got 0"),
        (lambda: exponential(1.5, 3), "decay per step must lie in"),
        (lambda: cascaded_exponentials(0.9, 0.9, 3), "two different decays"),
        (lambda: raised_cosines(0, 10), "at least 1 function"),
        (lambda: finite([[1.0], [1.0, 2.0]]), "kernels of one length"),
        (lambda: finite([[math.nan]]), "finite values"),
        (lambda: Response(((1.0,), (1.0,)), ((1.0, 0.5),)), "one kernel"),
    ],
)
def test_a_response_that_cannot_be_is_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ConfigurationError, match=message):
        make()
