"""Compiled loops of the membrane-potential rule: one thread, no lock held, cached on disk."""

from __future__ import annotations

import numpy as np
from numba import njit

ROWS_AT_ONCE = 4  # of the ring per pass over a row of the gradient


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def subtract_before_reset(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    gradient, factor, steps_since_reset, decay_powers, ring, slot
):
    """Take out of ``gradient`` what the inputs before each neuron's last reset put into it.

    gradient_ij -= sum_l factor_li (1-alpha)^k xbar_lj(t-k),  k = steps_since_reset_li

    Args:
        gradient: (n_outputs, n_inputs), changed in place.
        factor: (n_lanes, n_outputs), the error times the derivative; zeros cost nothing.
        steps_since_reset: k, (n_lanes, n_outputs), below 0 where there is no reset to undo.
        decay_powers: (horizon,), (1-alpha)^k.
        ring: xbar of the last steps, (n_lanes, horizon, n_inputs).
        slot: where the ring holds the present step.
    """
    n_lanes, horizon, n_inputs = ring.shape
    lanes = np.zeros(n_lanes + ROWS_AT_ONCE, np.int64)
    slots = np.zeros(n_lanes + ROWS_AT_ONCE, np.int64)
    scales = np.zeros(n_lanes + ROWS_AT_ONCE, np.float32)
    for output in range(gradient.shape[0]):
        n_rows = 0
        for lane in range(n_lanes):
            age = steps_since_reset[lane, output]
            if age >= 0 and factor[lane, output] != 0.0:
                lanes[n_rows], slots[n_rows] = lane, (slot - age) % horizon
                scales[n_rows] = factor[lane, output] * decay_powers[age]
                n_rows += 1
        scales[n_rows : n_rows + ROWS_AT_ONCE] = 0.0  # the last pass may be short of rows
        row = gradient[output]
        for first in range(0, n_rows, ROWS_AT_ONCE):
            a, b, c, d = scales[first : first + ROWS_AT_ONCE]
            row_a = ring[lanes[first], slots[first]]
            row_b = ring[lanes[first + 1], slots[first + 1]]
            row_c = ring[lanes[first + 2], slots[first + 2]]
            row_d = ring[lanes[first + 3], slots[first + 3]]
            for column in range(n_inputs):
                row[column] -= (
                    a * row_a[column] + b * row_b[column] + c * row_c[column] + d * row_d[column]
                )


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def adam_in_place(  # type: ignore[no-untyped-def] # pragma: no cover - compiled
    weights, gradient, mean, square, rate, mean_decay, square_decay, step, epsilon, weight_decay
):
    """One Adam step on flat arrays; the weight decay is added to the gradient (L2)."""
    mean_scale = np.float32(rate / (1.0 - mean_decay**step))
    square_scale = np.float32(1.0 / (1.0 - square_decay**step))
    keep_mean, keep_square = np.float32(mean_decay), np.float32(square_decay)
    new_mean, new_square = np.float32(1.0 - mean_decay), np.float32(1.0 - square_decay)
    decay, floor = np.float32(weight_decay), np.float32(epsilon)
    for index in range(weights.size):
        slope = gradient[index] + decay * weights[index]
        mean[index] = keep_mean * mean[index] + new_mean * slope
        square[index] = keep_square * square[index] + new_square * slope * slope
        denominator = np.sqrt(square[index] * square_scale) + floor
        weights[index] -= mean_scale * mean[index] / denominator
