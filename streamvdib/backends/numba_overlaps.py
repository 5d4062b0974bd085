"""Presynaptic traces that are never formed: how many inputs two steps have in common says enough.

    xbar_s = sum over d < tau of k_d z_{s-d}      z: the active inputs of a step
    o_t    = number of inputs that are active now and were at t
    sum of xbar_s over the inputs active now = sum over d of k_d o_{s-d}
    xbar_now . xbar_s = sum over d and e of k_d k_e |z_{now-d} and z_{s-e}|

An input's past is one bit a step, so counting what two steps share costs the spikes that they
share, and nothing is done for inputs that stay silent. Step s has bit s modulo ``N_PAST``.
"""

from __future__ import annotations

import numpy as np

from streamvdib.backends.compilation import (
    ONE,
    ZERO,
    Floats,
    Integers,
    Keys,
    Size,
    part,
    unsigned,
)
from streamvdib.backends.numba_factors import (
    HISTORY,
    N_PAST,
    OVERLAPS,
    PAIRS,
    SIGNALS,
    TRACE_PRODUCTS,
    WORKING,
    Factors,
)
from streamvdib.backends.numba_neurons import Network
from streamvdib.backends.numba_plan import KERNELS, N_BASIS, N_INPUTS, N_PADDED, TAU, Plan
from streamvdib.backends.numba_sums import add_scaled_rows

WORD = unsigned(64)
EIGHT = unsigned(8)
LAST = unsigned(255)
MOST = 255  # what a byte counts up to
SPREAD = np.array(  # of a byte's bits, the lowest first, each in a byte of its own
    [sum((byte >> bit & 1) << 8 * bit for bit in range(8)) for byte in range(256)], np.uint64
)


@part
def note_active(
    row: Plan, ring: Plan, factors: Factors, now: Size, active: Integers, start: int, end: int
) -> None:
    """Set the bits of this step, and count how many of its inputs each step before had too."""
    history, values, n_inputs, n_past = factors.history, factors.values, row[N_INPUTS], ring[N_PAST]
    place = now % n_past
    column = ring[HISTORY] + place // WORD * n_inputs
    bit = ONE << (place % WORD)
    for source in range(n_inputs):
        history[column + source] &= ~bit
    for k in range(start, end):
        history[column + unsigned(active[k])] |= bit
    overlaps, pasts, n_words = ring[OVERLAPS], ring[HISTORY], n_past // WORD
    for step in range(n_past):
        values[overlaps + step] = 0
    for first in range(start, end, MOST):
        for word in range(n_words):
            past, counts = pasts + word * n_inputs, overlaps + word * WORD
            _count_bits(history, past, active, first, min(first + MOST, end), values, counts)
    _unroll(values, overlaps, n_past)


@part
def _count_bits(
    history: Keys, past: Size, active: Integers, start: int, end: int, values: Floats, counts: Size
) -> None:
    """Add to 64 numbers how many of the listed words have each bit; at most ``MOST`` words.

    Eight bits are counted side by side in the bytes of one number: no step depends on how many
    bits are one, which no CPU could foresee.
    """
    a = b = c = d = e = f = g = h = ZERO
    for k in range(start, end):
        bits = history[past + unsigned(active[k])]
        a += SPREAD[bits & LAST]
        b += SPREAD[(bits >> unsigned(8)) & LAST]
        c += SPREAD[(bits >> unsigned(16)) & LAST]
        d += SPREAD[(bits >> unsigned(24)) & LAST]
        e += SPREAD[(bits >> unsigned(32)) & LAST]
        f += SPREAD[(bits >> unsigned(40)) & LAST]
        g += SPREAD[(bits >> unsigned(48)) & LAST]
        h += SPREAD[bits >> unsigned(56)]
    for bit in range(EIGHT):
        shift = bit * EIGHT
        values[counts + bit] += np.int32((a >> shift) & LAST)
        values[counts + EIGHT + bit] += np.int32((b >> shift) & LAST)
        values[counts + unsigned(16) + bit] += np.int32((c >> shift) & LAST)
        values[counts + unsigned(24) + bit] += np.int32((d >> shift) & LAST)
        values[counts + unsigned(32) + bit] += np.int32((e >> shift) & LAST)
        values[counts + unsigned(40) + bit] += np.int32((f >> shift) & LAST)
        values[counts + unsigned(48) + bit] += np.int32((g >> shift) & LAST)
        values[counts + unsigned(56) + bit] += np.int32((h >> shift) & LAST)


@part
def _unroll(values: Floats, ring: Size, n_past: Size) -> None:
    """A ring twice in a row, so that no window of it is broken."""
    for step in range(n_past):
        values[ring + n_past + step] = values[ring + step]


@part
def respond_to_overlaps(
    network: Network, row: Plan, ring: Plan, factors: Factors, overlaps: Size, basis: Size,
    first: Size, n: Size, result: Floats, start: Size,
) -> None:  # fmt: skip
    """Add sum over d of k_d o_{s-d} of the ``n`` steps s from ``first`` on to ``result[start:]``.

    ``n`` is a multiple of 8; ``overlaps`` says where a ring lies unrolled, of ``N_PAST`` steps.
    """
    tau, n_past = row[TAU], ring[N_PAST]
    newest = overlaps + (first + n_past - tau) % n_past + tau
    kernel = row[KERNELS] + basis * tau
    for lag in range(tau):
        factors.scales[lag] = network.constants[kernel + lag]
        factors.places[lag] = newest - lag
    add_scaled_rows(result, start, n, tau, factors.scales, factors.places, factors.values, ZERO)


@part
def fill_trace_products(
    network: Network, row: Plan, ring: Plan, factors: Factors, now: Size
) -> float:
    """Products of this step's trace with those of every slot; its own square is returned."""
    values, n_past, tau = factors.values, ring[N_PAST], row[TAU]
    n_slots = unsigned(len(factors.coefficients))
    _fill_pairs(row, ring, factors, now)
    products, filtered, pairs = ring[TRACE_PRODUCTS], ring[WORKING], ring[PAIRS]
    for slot in range(n_slots):
        factors.responses[slot] = 0
    for basis in range(row[N_BASIS]):
        for step in range(n_past):
            values[filtered + step] = 0
        line, kernel = now % tau, row[KERNELS] + basis * tau
        for lag in range(tau):
            factors.scales[lag] = network.constants[kernel + lag]
            factors.places[lag] = pairs + line * n_past
            line = line - ONE if line > ZERO else tau - ONE
        add_scaled_rows(values, filtered, n_past, tau, factors.scales, factors.places, values, ZERO)
        _unroll(values, filtered, n_past)
        first = now + n_past + ONE - n_slots
        respond_to_overlaps(
            network, row, ring, factors, filtered, basis, first, n_slots, factors.responses, ZERO
        )
    slot = now % n_slots
    for back in range(n_slots):
        values[products + slot] = factors.responses[n_slots - ONE - back]
        slot = slot - ONE if slot > ZERO else n_slots - ONE
    return float(factors.responses[n_slots - ONE])


@part
def _fill_pairs(row: Plan, ring: Plan, factors: Factors, now: Size) -> None:
    """Overlaps of each of the last tau steps with every step, (tau, n_past)."""
    values, n_past, tau = factors.values, ring[N_PAST], row[TAU]
    overlaps, pairs, place, line = ring[OVERLAPS], ring[PAIRS], now % n_past, now % tau
    for step in range(n_past):
        values[pairs + line * n_past + step] = values[overlaps + step]
    newest, place = overlaps + n_past + place, pairs + place
    for back in range(ONE, tau):
        line = line - ONE if line > ZERO else tau - ONE
        values[place + line * n_past] = values[newest - back]


@part
def correct_current(
    network: Network, row: Plan, ring: Plan, factors: Factors, written: Size, now: Size,
    current: Size,
) -> None:  # fmt: skip
    """Add what the factors from step ``written`` on change in the currents of this step."""
    n_slots, n_padded, n = unsigned(len(factors.coefficients)), row[N_PADDED], now - written
    whole = (n + EIGHT - ONE) // EIGHT * EIGHT
    for basis in range(row[N_BASIS]):
        for k in range(whole):
            factors.responses[k] = 0
        respond_to_overlaps(
            network, row, ring, factors, ring[OVERLAPS], basis, written, whole,
            factors.responses, ZERO,
        )  # fmt: skip
        n_rows, slot, signals = ZERO, written % n_slots, ring[SIGNALS]
        for k in range(n):
            scale = factors.coefficients[slot] * factors.responses[k]
            if scale != 0:
                factors.scales[n_rows] = scale
                factors.places[n_rows] = signals + slot * n_padded
                n_rows += ONE
            slot = slot + ONE if slot + ONE < n_slots else ZERO
        if n_rows > ZERO:
            target = current + basis * n_padded
            add_scaled_rows(
                network.memory, target, n_padded, n_rows, factors.scales, factors.places,
                factors.values, ZERO,
            )  # fmt: skip
