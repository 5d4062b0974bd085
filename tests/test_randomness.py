"""Counter-based draws: against whole-number arithmetic, by law, and as a distribution."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streamvdib.errors import ConfigurationError
from streamvdib.randomness import MAX_NEURONS, draws, lane_key, lane_keys

M = (1 << 64) - 1


def oracle(seed: int, lane: int, step: int, neuron: int) -> float:
    """Widynski's four rounds in Python's unbounded integers."""
    key = lane_key(seed, lane)
    x = y = ((step * 2**24 + neuron) * key) & M
    z = (y + key) & M
    for added in (y, z, y):
        x = (x * x + added) & M
        x = (x >> 32) | ((x << 32) & M)
    word = ((x * x + z) & M) >> 32
    return (word >> 8) / 2**24


@given(st.integers(0, 2**63 - 1), st.integers(0, 200), st.integers(0, 2**35), st.integers(0, 2**20))
def test_a_draw_is_what_whole_number_arithmetic_gives(
    seed: int, lane: int, step: int, neuron: int
) -> None:
    keys = lane_keys(seed, 1, first_lane=lane)
    assert draws(keys, step, 1, neuron + 1)[0, 0, -1].item() == oracle(seed, lane, step, neuron)


def test_draws_do_not_depend_on_how_steps_and_lanes_are_cut() -> None:
    whole = draws(lane_keys(3, 4), 10, 6, 5)
    parts = torch.cat([draws(lane_keys(3, 4), 10 + k, 1, 5) for k in range(6)])
    lanes = torch.cat([draws(lane_keys(3, 1, first_lane=k), 10, 6, 5) for k in range(4)], 1)
    assert torch.equal(whole, parts)
    assert torch.equal(whole, lanes)


def test_draws_are_uniform_and_uncorrelated_over_steps_lanes_and_neurons() -> None:
    sample = draws(lane_keys(1, 8), 0, 128, 256).numpy()
    assert sample.min() >= 0
    assert sample.max() < 1
    counts = np.histogram(sample, bins=64, range=(0, 1))[0]
    expected = sample.size / 64
    assert ((counts - expected) ** 2 / expected).sum() < 120  # chi-square, 63 degrees, p < 1e-5
    centred = sample - 0.5
    for axis in range(3):
        shifted = np.roll(centred, 1, axis)
        assert abs((centred * shifted).mean() * 12) < 0.01


def test_another_seed_gives_other_draws() -> None:
    assert not torch.equal(draws(lane_keys(0, 1), 0, 1, 64), draws(lane_keys(1, 1), 0, 1, 64))


def test_more_neurons_than_the_counter_holds_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="at most 16777216 neurons; got 16777217"):
        draws(lane_keys(0, 1), 0, 1, MAX_NEURONS + 1)
