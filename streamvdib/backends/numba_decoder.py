"""A decoder's dense layers as compiled sums over what is active.

    first layer    h = b_1 + sum of the rows of W_1 for every spike in the window
    second layer   a = b_2 + sum_j relu(h_j) row j of W_2, over the j with h_j > 0

The window is read where it lies in its ring: a spike in ring row r is lag-indexed, so nothing is
shifted. Sums run from the oldest step to the newest, neurons ascending.
"""

from __future__ import annotations

from streamvdib.backends.compilation import ZERO, Bytes, Floats, Size, compiled, part, unsigned


@compiled
def decode_window(
    ring: Bytes,
    oldest: int,
    is_rate: bool,
    first_weights: Floats,
    first_bias: Floats,
    hidden: Floats,
) -> None:
    """First layer for every lane.

    Args:
        ring: spikes, (tau_d, n_lanes, n_neurons).
        oldest: the row that holds the oldest step.
        is_rate: whether weights are per neuron, for the sum over time, and not per step.
        first_weights: (tau_d * n_neurons or n_neurons, n_hidden).
        first_bias: (n_hidden,).
        hidden: the result, (n_lanes, n_hidden).
    """
    tau_d, n_lanes, n_neurons = ring.shape
    for lane in range(unsigned(n_lanes)):
        for i in range(unsigned(len(first_bias))):
            hidden[lane, i] = first_bias[i]
        for age in range(unsigned(tau_d)):
            row = (unsigned(oldest) + age) % unsigned(tau_d)
            first_row = ZERO if is_rate else age * unsigned(n_neurons)
            _add_step(ring, row, lane, unsigned(n_neurons), first_weights, first_row, hidden)


@part
def _add_step(
    ring: Bytes,
    row: Size,
    lane: Size,
    n_neurons: Size,
    weights: Floats,
    first_row: Size,
    hidden: Floats,
) -> None:
    """Add the weight rows of one step's spikes, four at a time."""
    width = unsigned(weights.shape[1])
    a, b, c, n_waiting = ZERO, ZERO, ZERO, 0
    for neuron in range(n_neurons):
        if ring[row, lane, neuron] == 0:
            continue
        d = first_row + neuron
        if n_waiting == 3:
            for i in range(width):
                half = hidden[lane, i] + weights[a, i] + weights[b, i]
                hidden[lane, i] = half + weights[c, i] + weights[d, i]
            n_waiting = 0
            continue
        a, b, c = (d, b, c) if n_waiting == 0 else (a, d, c) if n_waiting == 1 else (a, b, d)
        n_waiting += 1
    if n_waiting > 0:
        for i in range(width):
            hidden[lane, i] += weights[a, i]
    if n_waiting > 1:
        for i in range(width):
            hidden[lane, i] += weights[b, i]
    if n_waiting > 2:
        for i in range(width):
            hidden[lane, i] += weights[c, i]


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
    for lane in range(unsigned(len(hidden))):
        for i in range(width):
            output[lane, i] = bias[i]
        waiting = n_hidden
        for unit in range(n_hidden):
            if not hidden[lane, unit] > 0:
                continue
            if waiting == n_hidden:
                waiting = unit
                continue
            one, other = hidden[lane, waiting], hidden[lane, unit]
            for i in range(width):
                total = output[lane, i] + one * weights[waiting, i]
                output[lane, i] = total + other * weights[unit, i]
            waiting = n_hidden
        if waiting < n_hidden:
            for i in range(width):
                output[lane, i] += hidden[lane, waiting] * weights[waiting, i]
