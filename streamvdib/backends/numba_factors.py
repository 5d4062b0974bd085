"""Rank-one factors of weight changes, kept until it is worth touching the weights.

    W_t = W + sum_s c_s xbar_s (x) e_s            s: the steps that are not yet written into W
    I_t = rows of W + sum_s c_s (sum_j xbar_{s,j} over the active j) e_s

The change of each step of e-prop is such a factor: presynaptic trace xbar, postsynaptic signal e.
A current is put right by as many dot products as there are factors, each over the active inputs
only, and W is read and written once for many steps. What is skipped is exactly zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streamvdib.backends.compilation import ONE, ZERO, Floats, Integers, Size, part, unsigned
from streamvdib.backends.numba_encoder import Network
from streamvdib.backends.numba_plan import (
    BIAS,
    FEEDBACK_KERNELS,
    FEEDBACK_TAU,
    FEEDBACK_WEIGHTS,
    KERNELS,
    N_BASIS,
    N_INPUTS,
    N_PADDED,
    TAU,
    WEIGHTS,
    Plan,
)
from streamvdib.backends.numba_sums import dot

# Columns of the rings' plan, one row per layer; where something begins, or a choice.
(
    TRACES,  # in the factors: xbar, (n_basis * n_inputs, n_slots)
    SIGNALS,  # e, (n_slots, n_padded)
    PASTS,  # e (beta * z)_{t-1}, (n_slots, n_padded); only where feedback weights learn
    MATRIX,  # random feedback to this layer, (n_neurons, padded readout)
    WORKING,  # one trace, (n_basis * n_inputs,) or (n_padded,), and the working memory of a sum
    SOURCES,  # in the lists: active inputs of the last tau steps, (tau, n_inputs)
    SOURCE_COUNTS,  # (tau,)
    OWN,  # spikes of the last feedback tau + 1 steps, (feedback tau + 1, n_neurons)
    OWN_COUNTS,  # (feedback tau + 1,)
    LEARNS_FEEDBACK,
    SURROGATE,  # BOXCAR, SIGMOID or SUPERSPIKE
    PRIOR,  # in the factors: logits of the prior, (n_padded,); readout only
) = range(12)
N_RING_FIELDS = 12
BOXCAR, SIGMOID, SUPERSPIKE = range(3)
COLUMNS = unsigned(256)  # of a signal, so that those of a whole block stay in the cache
FOUR = unsigned(4)
EIGHT = unsigned(8)


class Factors(NamedTuple):
    """Memory of the factors; flat arrays as in ``numba_plan``."""

    rings: Plan  # (n_layers, N_RING_FIELDS)
    values: Floats
    lists: Integers  # int32
    coefficients: npt.NDArray[np.float64]  # c, (n_slots,)
    scales: Floats  # working memory, (n_slots + 4,)
    places: npt.NDArray[np.uint64]  # working memory, (n_slots + 4,)
    norms: npt.NDArray[np.float64]  # squares of every layer's trace, then of the whole factor


@part
def add_scaled(
    target: Floats, start: Size, width: Size, n: Size, factors: Factors, column: Size
) -> None:
    """Add ``n`` scaled rows to ``target[start : start + width]``; lengthens them to fours."""
    values, scales, places = factors.values, factors.scales, factors.places
    whole = (n + FOUR - ONE) // FOUR * FOUR
    for k in range(n, whole):
        scales[k], places[k] = 0, places[ZERO]
    k = ZERO
    while k + EIGHT <= whole:
        a, b, c, d = scales[k], scales[k + ONE], scales[k + ONE + ONE], scales[k + FOUR - ONE]
        p, q = places[k] + column, places[k + ONE] + column
        r, s = places[k + ONE + ONE] + column, places[k + FOUR - ONE] + column
        k += FOUR
        e, f, g, h = scales[k], scales[k + ONE], scales[k + ONE + ONE], scales[k + FOUR - ONE]
        t, u = places[k] + column, places[k + ONE] + column
        v, w = places[k + ONE + ONE] + column, places[k + FOUR - ONE] + column
        for i in range(width):
            low = (a * values[p + i] + b * values[q + i]) + (c * values[r + i] + d * values[s + i])
            high = (e * values[t + i] + f * values[u + i]) + (g * values[v + i] + h * values[w + i])
            target[start + i] += low + high
        k += FOUR
    if k < whole:
        a, b, c, d = scales[k], scales[k + ONE], scales[k + ONE + ONE], scales[k + FOUR - ONE]
        p, q = places[k] + column, places[k + ONE] + column
        r, s = places[k + ONE + ONE] + column, places[k + FOUR - ONE] + column
        for i in range(width):
            low = (a * values[p + i] + b * values[q + i]) + (c * values[r + i] + d * values[s + i])
            target[start + i] += low


@part
def correct_current(
    network: Network,
    row: Plan,
    ring: Plan,
    factors: Factors,
    active: Integers,
    start: int,
    end: int,
    current: Size,
) -> None:
    """Add what the factors change in the currents of one step."""
    n_slots, n_padded, n_inputs = unsigned(len(factors.coefficients)), row[N_PADDED], row[N_INPUTS]
    scales, places, values = factors.scales, factors.places, factors.values
    for basis in range(row[N_BASIS]):
        for slot in range(n_slots):
            scales[slot] = 0
        for k in range(start, end):
            trace = ring[TRACES] + (basis * n_inputs + unsigned(active[k])) * n_slots
            for slot in range(n_slots):
                scales[slot] += values[trace + slot]
        n = ZERO
        for slot in range(n_slots):
            if scales[slot] != 0 and factors.coefficients[slot] != 0:
                scales[n] = factors.coefficients[slot] * scales[slot]
                places[n] = ring[SIGNALS] + slot * n_padded
                n += ONE
        if n > ZERO:
            target = current + basis * n_padded
            add_scaled(network.memory, target, n_padded, n, factors, ZERO)


@part
def write_factors(
    network: Network, row: Plan, ring: Plan, factors: Factors, first: Size, last: Size
) -> None:
    """Write the factors ``first`` to ``last`` (half-open) of a layer into its weights."""
    n_slots, n_padded = unsigned(len(factors.coefficients)), row[N_PADDED]
    n_inputs, n_basis = row[N_INPUTS], row[N_BASIS]
    for column in range(ZERO, n_padded, COLUMNS):
        width = min(COLUMNS, n_padded - column)
        for basis in range(n_basis):
            for source in range(n_inputs):
                trace = ring[TRACES] + (basis * n_inputs + source) * n_slots
                n = _gather(factors, ring[SIGNALS], n_padded, trace, first, last)
                if n > ZERO:
                    weights = row[WEIGHTS] + (source * n_basis + basis) * n_padded + column
                    add_scaled(network.constants, weights, width, n, factors, column)


@part
def _gather(
    factors: Factors, signals: Size, n_padded: Size, trace: Size, first: Size, last: Size
) -> Size:
    """Scales and places of the factors that change one row of weights; how many."""
    n_slots, n = unsigned(len(factors.coefficients)), ZERO
    slot = first % n_slots
    for _ in range(first, last):
        scale = factors.coefficients[slot] * factors.values[trace + slot]
        if scale != 0:
            factors.scales[n] = scale
            factors.places[n] = signals + slot * n_padded
            n += ONE
        slot += ONE
        if slot == n_slots:
            slot = ZERO
    return n


@part
def add_to_parameters(
    network: Network,
    row: Plan,
    ring: Plan,
    factors: Factors,
    first: Size,
    last: Size,
    change: float,
) -> None:
    """Biases, and feedback weights that learn: the change of one update, at once."""
    n_slots, n_padded = unsigned(len(factors.coefficients)), row[N_PADDED]
    n = last - first
    for signals, target, learns in (
        (ring[SIGNALS], row[BIAS], ONE),
        (ring[PASTS], row[FEEDBACK_WEIGHTS], ring[LEARNS_FEEDBACK]),
    ):
        if learns == ONE:
            for k in range(n):
                factors.scales[k] = change
                factors.places[k] = signals + ((first + k) % n_slots) * n_padded
            add_scaled(network.constants, target, n_padded, n, factors, ZERO)


@part
def remember(
    lists: Integers, rows: Size, counts: Size, tau: Size, width: Size, now: Size,
    active: Integers, start: int, end: int,
) -> None:  # fmt: skip
    """Keep a list of active numbers in the ring of the last tau ones."""
    slot = now % tau
    lists[counts + slot] = end - start
    target = rows + slot * width
    for k in range(end - start):
        lists[target + unsigned(k)] = active[start + k]


@part
def fill_trace(network: Network, row: Plan, ring: Plan, factors: Factors, now: Size) -> float:
    """The presynaptic traces of this step, (alpha_k * z_j)_t, into its slot; their square."""
    n_slots, n_inputs, tau = unsigned(len(factors.coefficients)), row[N_INPUTS], row[TAU]
    values, lists, working = factors.values, factors.lists, ring[WORKING]
    for basis in range(row[N_BASIS]):
        target, kernel = working + basis * n_inputs, row[KERNELS] + basis * tau
        _sum_past(
            values, target, n_inputs, lists, ring[SOURCES], ring[SOURCE_COUNTS], n_inputs,
            tau, tau, now, network.constants, kernel,
        )  # fmt: skip
    first, n_traces = ring[TRACES] + now % n_slots, row[N_BASIS] * n_inputs
    for place in range(n_traces):
        values[first + place * n_slots] = values[working + place]
    return float(dot(values, working, values, working, n_traces, values, working + n_traces))


@part
def fill_past(
    network: Network, row: Plan, ring: Plan, factors: Factors, now: Size, n_neurons: Size
) -> None:
    """The signals times the feedback traces (beta * z)_{t-1}, into the slot of this step."""
    values, tau, n_padded = factors.values, row[FEEDBACK_TAU], row[N_PADDED]
    slot = (now % unsigned(len(factors.coefficients))) * n_padded
    _sum_past(
        values, ring[WORKING], n_padded, factors.lists, ring[OWN], ring[OWN_COUNTS], n_neurons,
        tau + ONE, tau, now + tau, network.constants, row[FEEDBACK_KERNELS],
    )  # fmt: skip
    for i in range(n_neurons):
        values[ring[PASTS] + slot + i] = (
            values[ring[SIGNALS] + slot + i] * values[ring[WORKING] + i]
        )


@part
def _sum_past(
    values: Floats, target: Size, n_targets: Size, lists: Integers, rows: Size, counts: Size,
    width: Size, n_rows: Size, tau: Size, now: Size, constants: Floats, kernel: Size,
) -> None:  # fmt: skip
    """Sum over lags d of kernel_d z_{now - d}, from the oldest step to the newest."""
    for i in range(n_targets):
        values[target + i] = 0
    for back in range(ONE, tau + ONE):
        lag = tau - back
        slot = (now + n_rows - lag) % n_rows
        weight, first = constants[kernel + lag], rows + slot * width
        for k in range(unsigned(lists[counts + slot])):
            values[target + unsigned(lists[first + k])] += weight
