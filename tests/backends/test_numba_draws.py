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
    expected = draws(keys, step, 1, 300)[0].numpy()
    for lane, key in enumerate(keys.numpy().view(np.uint64)):
        row = np.zeros(300, np.float32)
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


def test_a_neuron_fires_where_its_draw_is_below_its_probability() -> None:
    """By hand: sigma(0) = 1/2, sigma(-100) = 0, sigma(100) = 1."""

    @jit
    def fire(row, memory):  # type: ignore[no-untyped-def]
        fire_at_random(row, np.uint64(4), memory, np.uint64(0), np.uint64(4))

    memory = np.array([0.0, 0.0, -100.0, 100.0, 9, 9, 9, 9], np.float32)
    fire(np.array([0.49, 0.5, 0.0, 0.999999], np.float32), memory)
    assert memory[4:].tolist() == [1, 0, 0, 1]
