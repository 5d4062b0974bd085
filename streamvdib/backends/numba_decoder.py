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
    bits_of_bytes,
    compiled,
    part,
    unsigned,
)
from streamvdib.backends.numba_draws import logistic
from streamvdib.backends.numba_spikes import append_bits
from streamvdib.backends.numba_sums import add_plain_rows, add_scaled_rows

COLUMNS = unsigned(64)  # of a layer's outputs that many lanes work on together
MANY_LANES = unsigned(8)  # from here on these columns are copied first
SEVEN, EIGHT, WORD = unsigned(7), unsigned(8), unsigned(64)


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
    block: Floats,
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
        active: working array, (n_lanes * n_neurons + ``ROOM``,), uint64.
        block: working array, (n_neurons * COLUMNS,).
    """
    n_lanes, n_hidden = unsigned(len(ends) - 1), unsigned(len(bias))
    n_inputs = unsigned(n_neurons)
    n_spikes, is_packed = n_lanes * n_inputs, n_lanes >= MANY_LANES
    tau_d = unsigned(len(ring)) // n_spikes
    n_columns, stride = (COLUMNS, COLUMNS) if is_packed else (n_hidden, n_hidden)
    for lane in range(n_lanes):
        for i in range(n_hidden):
            hidden[lane * n_hidden + i] = bias[i]
    for age in range(tau_d):
        first = (unsigned(oldest) + age) % tau_d * n_spikes
        n_active = ZERO
        for lane in range(n_lanes):
            start = first + lane * n_inputs
            n_active = _list_rows(ring, start, n_inputs, stride, active, n_active)
            ends[lane + ONE] = n_active
        row = ZERO if is_rate else age * n_inputs * n_hidden
        for low in range(ZERO, n_hidden, n_columns):
            width = min(n_columns, n_hidden - low)
            source, column = weights, row + low
            if is_packed:
                _pack(weights, column, n_hidden, n_inputs, width, block)
                source, column = block, ZERO
            whole = width & ~SEVEN
            for lane in range(n_lanes):
                count = unsigned(ends[lane + ONE] - ends[lane])
                target = lane * n_hidden + low
                add_plain_rows(hidden, target, whole, count, active[ends[lane] :], source, column)
                for k in range(ends[lane], ends[lane + ONE]):
                    for i in range(whole, width):
                        hidden[target + i] += source[column + active[k] + i]


@part
def _pack(
    weights: Floats, first: Size, stride: Size, n_rows: Size, width: Size, block: Floats
) -> None:
    """Copy some columns of all rows side by side: rows far apart share few places of a cache."""
    for row in range(n_rows):
        for i in range(width):
            block[row * COLUMNS + i] = weights[first + row * stride + i]


@part
def _list_rows(
    ring: Bytes, first: Size, n_neurons: Size, width: Size, rows: Keys, place: Size
) -> Size:
    """Append where the rows of the neurons that spike begin."""
    n_whole = n_neurons // WORD * WORD
    for low in range(ZERO, n_whole, WORD):
        place = append_bits(bits_of_bytes(ring, first + low), low, width, rows, place)
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
    n_lanes, n_hidden, width = unsigned(len(hidden)), *weights.shape
    n_hidden, width = unsigned(n_hidden), unsigned(width)
    flat, result = weights.reshape(-1), output.reshape(-1)
    scales, places = (
        np.empty(n_lanes * n_hidden, weights.dtype),
        np.empty(n_lanes * n_hidden, np.uint64),
    )
    ends = np.empty(n_lanes, np.uint64)
    for lane in range(n_lanes):
        n = lane * n_hidden
        for i in range(width):
            result[lane * width + i] = bias[i]
        for unit in range(n_hidden):
            scales[n], places[n] = hidden[lane, unit], unit * width
            n += unsigned(hidden[lane, unit] > 0)
        ends[lane] = n
    if n_lanes < MANY_LANES:
        n_columns, n_together = width, EIGHT  # so few rows side by side stay streams
    else:
        n_columns, n_together = COLUMNS, n_hidden
    for low in range(ZERO, width, n_columns):
        count = min(n_columns, width - low)
        whole = count & ~SEVEN
        for lane in range(n_lanes):
            target = lane * width + low
            for first in range(lane * n_hidden, ends[lane], n_together):
                n = min(n_together, ends[lane] - first)
                add_scaled_rows(result, target, whole, n, scales[first:], places[first:], flat, low)
                for row in range(first, first + n):
                    for i in range(whole, count):
                        result[target + i] += scales[row] * flat[places[row] + low + i]


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
