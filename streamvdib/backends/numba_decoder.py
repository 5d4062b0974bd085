"""A decoder's dense layers as compiled sums over what is active.

    first layer    h = b_1 + sum of the rows of W_1 for every spike in the window
    second layer   a = b_2 + sum_j relu(h_j) row j of W_2, over the j with h_j > 0

The window is read where it lies in its ring: a spike in ring row r is lag-indexed, so nothing is
shifted. Sums run from the oldest step to the newest, neurons ascending, whatever the number of
lanes. Many lanes share the weights of a step, and of a range of columns, while those are in the
cache.
"""

from __future__ import annotations

import numpy as np

from streamvdib.backends.compilation import (
    ONE,
    ZERO,
    Bytes,
    Floats,
    Integers,
    Keys,
    Size,
    compiled,
    eight_bytes,
    part,
    trailing_zeros,
    unsigned,
)
from streamvdib.backends.numba_draws import logistic
from streamvdib.backends.numba_sums import add_plain_rows, add_scaled_rows

COLUMNS = unsigned(128)  # of a layer's outputs that many lanes work on together
THREE, SEVEN, EIGHT, BYTE = unsigned(3), unsigned(7), unsigned(8), unsigned(255)


@compiled
def decode_window(
    ring: Bytes,
    n_neurons: int,
    oldest: int,
    is_rate: bool,
    weights: Floats,
    bias: Floats,
    hidden: Floats,
    ends: Integers,
    active: Keys,
) -> None:
    """First layer for every lane.

    Args:
        ring: spikes, (tau_d * n_lanes * n_neurons,).
        n_neurons: of the readout.
        oldest: the row that holds the oldest step.
        is_rate: whether weights are per neuron, for the sum over time, and not per step.
        weights: (tau_d * n_neurons * n_hidden,), or without tau_d.
        bias: (n_hidden,).
        hidden: the result, (n_lanes * n_hidden,).
        ends: working array, (n_lanes + 1,), zeros.
        active: working array, (n_lanes * n_neurons + 1,), uint64.
    """
    n_lanes, n_hidden = unsigned(len(ends) - 1), unsigned(len(bias))
    n_spikes = n_lanes * unsigned(n_neurons)
    tau_d = unsigned(len(ring)) // n_spikes
    n_columns = n_hidden if n_lanes == ONE else COLUMNS
    for lane in range(n_lanes):
        for i in range(n_hidden):
            hidden[lane * n_hidden + i] = bias[i]
    for age in range(tau_d):
        first = (unsigned(oldest) + age) % tau_d * n_spikes
        n_active = ZERO
        for lane in range(n_lanes):
            start = first + lane * unsigned(n_neurons)
            n_active = _list_rows(ring, start, unsigned(n_neurons), n_hidden, active, n_active)
            ends[lane + ONE] = n_active
        row = ZERO if is_rate else age * unsigned(n_neurons) * n_hidden
        for low in range(ZERO, n_hidden, n_columns):
            width = min(n_columns, n_hidden - low)
            for lane in range(n_lanes):
                count = unsigned(ends[lane + ONE] - ends[lane])
                target, whole = lane * n_hidden + low, width & ~SEVEN
                add_plain_rows(
                    hidden, target, whole, count, active[ends[lane] :], weights, row + low
                )
                for k in range(ends[lane], ends[lane + ONE]):
                    for i in range(whole, width):
                        hidden[target + i] += weights[row + low + active[k] + i]


@part
def _list_rows(
    ring: Bytes, first: Size, n_neurons: Size, width: Size, rows: Keys, place: Size
) -> Size:
    """Append where the rows of the neurons that spike begin, eight looked at at once."""
    n_whole = n_neurons & ~SEVEN
    for low in range(ZERO, n_whole, EIGHT):
        word = eight_bytes(ring, first + low)
        while word != ZERO:
            byte = trailing_zeros(word) >> THREE
            rows[place] = (low + byte) * width
            place += ONE
            word &= ~(BYTE << (byte << THREE))
    for neuron in range(n_whole, n_neurons):
        rows[place] = neuron * width
        place += unsigned(ring[first + neuron] != 0)
    return place


@compiled
def rectified_layer(hidden: Floats, weights: Floats, bias: Floats, output: Floats) -> None:
    """Second layer for every lane: the rows of the positive hidden units, weighted.

    Args:
        hidden: before the rectifier, (n_lanes, n_hidden).
        weights: (n_hidden, n_outputs).
        bias: (n_outputs,).
        output: the result, (n_lanes, n_outputs).
    """
    n_hidden, width = unsigned(weights.shape[0]), unsigned(weights.shape[1])
    flat, whole = weights.reshape(-1), width & ~SEVEN
    scales, places = np.empty(n_hidden, weights.dtype), np.empty(n_hidden, np.uint64)
    for lane in range(unsigned(len(hidden))):
        for i in range(width):
            output[lane, i] = bias[i]
        n, result = ZERO, output[lane]
        for unit in range(n_hidden):
            if hidden[lane, unit] > 0:
                scales[n], places[n] = hidden[lane, unit], unit * width
                n += ONE
        for k in range(ZERO, n, EIGHT):  # so few are read side by side that they stay streams
            count = min(EIGHT, n - k)
            add_scaled_rows(result, ZERO, whole, count, scales[k:], places[k:], flat, ZERO)
            for row in range(k, k + count):
                for i in range(whole, width):
                    result[i] += scales[row] * flat[places[row] + i]


@compiled
def fill_means(parameters: Floats, is_logistic: bool, frames: Floats) -> None:
    """The mean of every pixel: sigma(a) where pixels are on or off, else a itself.

    Args:
        parameters: natural parameters a, (n,).
        is_logistic: which of both.
        frames: the result, (n,), float32.
    """
    if is_logistic:
        for i in range(unsigned(len(parameters))):
            frames[i] = logistic(parameters[i])
    else:
        for i in range(unsigned(len(parameters))):
            frames[i] = parameters[i]
