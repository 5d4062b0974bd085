"""Postsynaptic signals of e-prop, their norm, and what a step's spikes cost.

e_t = y_t - sigma(u_t)   readout (eq. 19)       e_t = psi(u_t) (B e_t^readout)   hidden
log p(y_t) - log q(y_t)  information cost of a step, nats (eq. 13)

The readout's come first; those of hidden layers are made of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from streamvdib.backends.compilation import ONE, ZERO, Floats, Size, inlined, part, unsigned
from streamvdib.backends.numba_draws import logistic
from streamvdib.backends.numba_factors import (
    BOXCAR,
    LEARNS_FEEDBACK,
    MATRIX,
    PAST_SUMS,
    PASTS,
    PRIOR,
    SIGMOID,
    SIGNAL_SUMS,
    SIGNALS,
    SURROGATE,
    TRACE_PRODUCTS,
    WORKING,
    Factors,
    add_to_sums,
    fill_past,
)
from streamvdib.backends.numba_neurons import Network
from streamvdib.backends.numba_plan import N_NEURONS, N_PADDED, POTENTIALS, Plan
from streamvdib.backends.numba_sums import dot, prefetch_row

Numbers = npt.NDArray[np.float64]
AHEAD = unsigned(4)  # rows that are on their way into the cache while one is read
PRODUCTS = unsigned(512)  # factors of at least 1/2: their product is no smaller than 2^-512
TWO, THREE, FOUR = unsigned(2), unsigned(3), unsigned(4)


@part
def fill_error(
    network: Network, row: Plan, ring: Plan, factors: Factors, now: Size, fired: Size
) -> None:
    """The readout's signal y - sigma(u); those of hidden layers come afterwards."""
    memory, values, potentials, n_padded = (
        network.memory, factors.values, row[POTENTIALS], row[N_PADDED],
    )  # fmt: skip
    chances = ring[WORKING]
    target = ring[SIGNALS] + (now % unsigned(len(factors.coefficients))) * n_padded
    for i in range(n_padded):
        values[chances + i] = logistic(memory[potentials + i])
    for i in range(n_padded):
        values[target + i] = memory[fired + i] - values[chances + i]


@part
def information(network: Network, row: Plan, ring: Plan, factors: Factors, fired: Size) -> float:
    """Minus log p(y) + log of the spikes' odds under the prior, summed over the readout, in nats.

    softplus(u) = max(u, 0) - log max(p, 1 - p), and the logarithms are those of products, four of
    them side by side; neurons that only fill up a vector are silent and cost nothing. Called after
    ``fill_error``.
    """
    memory, values, potentials = network.memory, factors.values, row[POTENTIALS]
    chances, prior, n_padded = ring[WORKING], ring[PRIOR], row[N_PADDED]
    total = 0.0
    for low in range(ZERO, n_padded, PRODUCTS):
        a = b = c = d = 1.0
        for place in range(low, min(low + PRODUCTS, n_padded), FOUR):
            a *= _larger(values[chances + place])
            b *= _larger(values[chances + place + ONE])
            c *= _larger(values[chances + place + TWO])
            d *= _larger(values[chances + place + THREE])
        total -= math.log((a * b) * (c * d))
    for i in range(n_padded):
        u = memory[potentials + i]
        values[chances + i] = max(u, 0) - memory[fired + i] * (u - values[prior + i])
    a = b = c = d = 0.0
    for place in range(ZERO, n_padded, FOUR):
        a += values[chances + place]
        b += values[chances + place + ONE]
        c += values[chances + place + TWO]
        d += values[chances + place + THREE]
    return total + ((a + b) + (c + d))


@inlined
def _larger(p: Any) -> Any:
    """Of the chances of both outcomes."""
    return max(p, 1 - p)


@part
def fill_signals(network: Network, factors: Factors, now: Size) -> None:
    """What the newest step's factors still lack, now that the readout has fired."""
    last = len(network.plan) - 1
    slot = now % unsigned(len(factors.coefficients))
    readout_row, readout = network.plan[last], factors.rings[last]
    error = readout[SIGNALS] + slot * readout_row[N_PADDED]
    for layer in range(last):
        row, ring = network.plan[layer], factors.rings[layer]
        _send_back(network, row, ring, factors, slot, error, readout_row[N_PADDED])
    for layer in range(last + 1):
        row, ring = network.plan[layer], factors.rings[layer]
        add_to_sums(factors.values, ring[SIGNALS], ring[SIGNAL_SUMS], row[N_PADDED], slot)
        if ring[LEARNS_FEEDBACK] == ONE:
            fill_past(network, row, ring, factors, now, row[N_NEURONS])
            add_to_sums(factors.values, ring[PASTS], ring[PAST_SUMS], row[N_PADDED], slot)
    _fill_norm(network, factors, slot)


@part
def _fill_norm(network: Network, factors: Factors, slot: Size) -> None:
    """Square of the newest step's factors, all layers and parameters together."""
    values, square = factors.values, 0.0
    for layer in range(len(network.plan)):
        row, ring = network.plan[layer], factors.rings[layer]
        signal = _square(values, ring, SIGNALS, slot, row[N_PADDED])
        square += (factors.norms[layer, slot] + 1) * signal  # 1: of the bias
        if ring[LEARNS_FEEDBACK] == ONE:
            square += _square(values, ring, PASTS, slot, row[N_PADDED])
    factors.norms[len(network.plan), slot] = square


@part
def _square(values: Floats, ring: Plan, which: int, slot: Size, n: Size) -> Any:
    place = ring[which] + slot * n
    return dot(values, place, values, place, n)


@part
def _send_back(
    network: Network, row: Plan, ring: Plan, factors: Factors, slot: Size, error: Size, n: Size
) -> None:
    """Signals of a hidden layer: the readout's errors through B, times the spike derivative."""
    values, signals = factors.values, ring[SIGNALS] + slot * row[N_PADDED]
    n_units = _list_slopes(network, row, ring, factors, signals)
    for k in range(n_units):
        unit = factors.units[k]
        if k + AHEAD < n_units:
            prefetch_row(values, ring[MATRIX] + factors.units[k + AHEAD] * n, n)
        values[signals + unit] *= dot(values, ring[MATRIX] + unit * n, values, error, n)


@part
def _list_slopes(network: Network, row: Plan, ring: Plan, factors: Factors, slopes: Size) -> Size:
    """Spike derivatives of a layer, and the numbers of the neurons where they are not zero."""
    memory, values, potentials, units = (
        network.memory, factors.values, row[POTENTIALS], factors.units,
    )  # fmt: skip
    n_neurons, surrogate, n = row[N_NEURONS], ring[SURROGATE], ZERO
    if surrogate == BOXCAR:
        for i in range(n_neurons):
            u = memory[potentials + i]
            is_near = unsigned(u > -0.5) & unsigned(u <= 0.5)
            values[slopes + i] = is_near
            units[n] = i
            n += is_near
        return n
    for i in range(n_neurons):
        u = memory[potentials + i]
        if surrogate == SIGMOID:
            p = logistic(u)
            values[slopes + i] = p * (1 - p)
        else:
            values[slopes + i] = 1 / ((1 + abs(u)) * (1 + abs(u)))
        units[i] = i
    return n_neurons


@part
def fill_products(
    network: Network, factors: Factors, products: Numbers, now: Size, n_credited: Size
) -> None:
    """Products of the newest step's factors, all layers together, with those credited with it."""
    values, n_slots = factors.values, unsigned(len(factors.coefficients))
    slot = now % n_slots
    for s in range(n_slots):
        products[slot, s] = 0
    for layer in range(len(network.plan)):
        row, ring = network.plan[layer], factors.rings[layer]
        n_padded = row[N_PADDED]
        own, past = ring[SIGNALS] + slot * n_padded, ring[PASTS] + slot * n_padded
        s = slot
        for _ in range(n_credited):
            other = ring[SIGNALS] + s * n_padded
            signal = dot(values, own, values, other, n_padded)
            products[slot, s] += (1 + values[ring[TRACE_PRODUCTS] + s]) * signal  # 1: of the bias
            if ring[LEARNS_FEEDBACK] == ONE:
                other = ring[PASTS] + s * n_padded
                products[slot, s] += dot(values, past, values, other, n_padded)
            s = s - ONE if s > ZERO else n_slots - ONE
    for s in range(n_slots):
        products[s, slot] = products[slot, s]
