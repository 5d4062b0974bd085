"""The compiled draws are the reference's bit for bit, the compiled logistic close to exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numba import njit

from streamvdib.backends.numba_draws import fill_draws, fire_at_random, logistic
from streamvdib.randomness import draws, lane_keys

jit: Any = njit


@pytest.fixture(scope="module")
def drawing() -> Any:
    @jit
    def draw(key, step, row):  # type: ignore[no-untyped-def]
        fill_draws(key, step, np.uint64(0), np.uint64(64), row)
        fill_draws(key, step, np.uint64(64), np.uint64(len(row) - 64), row[64:])

    return draw


@pytest.mark.parametrize("step", [0, 1, 12345, 2**33])
def test_compiled_draws_equal_the_reference_bit_for_bit(step: int, drawing: Any) -> None:
    keys = lane_keys(seed=7, n_lanes=3)
    expected = draws(keys, step, 1, 304)[0].numpy()
    for lane, key in enumerate(keys.numpy().view(np.uint64)):
        row = np.zeros(304, np.float32)
        drawing(key, np.uint64(step), row)
        np.testing.assert_array_equal(row, expected[lane])


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-7), (np.float64, 1e-15)])
def test_the_compiled_logistic_is_within_its_stated_tolerance(
    dtype: type, tolerance: float
) -> None:
    @jit
    def fill(potentials, probabilities):  # type: ignore[no-untyped-def]
        for i in range(len(potentials)):
            probabilities[i] = logistic(potentials[i])

    potentials = np.linspace(-750, 750, 100_001).astype(dtype)
    probabilities = np.zeros_like(potentials)
    fill(potentials, probabilities)
    expected = torch.sigmoid(torch.from_numpy(potentials.astype(np.float64))).numpy()
    assert np.abs(probabilities - expected).max() <= tolerance
    assert (np.diff(probabilities) >= -tolerance).all()
    assert probabilities[0] == 0
    assert probabilities[-1] == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_neuron_fires_where_its_draw_is_below_its_probability(dtype: type) -> None:
    """By hand: sigma(0) = 1/2, sigma(-1000) = 0, sigma(1000) = 1; no number, no spike."""

    @jit
    def fire(row, memory):  # type: ignore[no-untyped-def]
        fire_at_random(row, np.uint64(16), memory, np.uint64(0), np.uint64(16))

    memory = np.full(32, 9, dtype)
    memory[:16] = [0, 0, -1000, 1000, np.nan, np.inf, -np.inf, -100] + [0] * 8
    row = np.full(16, 0.75, dtype)
    row[:8] = [0.49, 0.5, 0.0, 0.999999, 0.0, 0.999999, 0.0, 0.000001]
    fire(row, memory)
    assert memory[16:].tolist() == [1, 0, 0, 1, 0, 1, 0, 0] + [0] * 8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_neurons_fire_as_the_exact_logistic_says(dtype: type) -> None:
    """Spikes differ from float64's sigmoid only where a draw lies within 2e-7 of it."""

    @jit
    def fire(row, memory):  # type: ignore[no-untyped-def]
        fire_at_random(row, np.uint64(len(row)), memory, np.uint64(0), np.uint64(len(row)))

    generator = np.random.default_rng(0)
    n = 1 << 16
    row = (generator.integers(0, 1 << 24, n) / (1 << 24)).astype(dtype)
    potentials = generator.normal(0, 6, n).astype(dtype)
    memory = np.concatenate((potentials, np.zeros(n, dtype)))
    fire(row, memory)
    exact = torch.sigmoid(torch.from_numpy(potentials.astype(np.float64))).numpy()
    differs = (memory[n:] == 1) != (row < exact)
    assert (np.abs(row - exact)[differs] < 2e-7).all()
    assert 0.2 < memory[n:].mean() < 0.8
