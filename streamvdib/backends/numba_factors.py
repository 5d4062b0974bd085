"""Rank-one factors of weight changes, kept until it is worth touching the weights.

    W_t = W + sum_s c_s xbar_s (x) e_s            s: the steps that are not yet written into W
    I_t = rows of W + sum_s c_s (sum_j xbar_{s,j} over the active j) e_s

The change of each step of e-prop is such a factor: presynaptic trace xbar, postsynaptic signal e.
A current is put right by one sum over as many signals as there are factors (``numba_overlaps``),
and W is read and written once for many steps (``numba_writing``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

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
from streamvdib.backends.numba_neurons import Network
from streamvdib.backends.numba_plan import (
    BIAS,
    FEEDBACK_KERNELS,
    FEEDBACK_TAU,
    FEEDBACK_WEIGHTS,
    N_PADDED,
    Plan,
)
from streamvdib.backends.numba_sums import add_scaled_rows

# Columns of the rings' plan, one row per layer; where something begins, or a choice.
(
    N_PAST,  # steps that an input's past goes back, whole words
    HISTORY,  # in the history: (n_past / 64, n_inputs)
    OVERLAPS,  # in the factors: of the newest step with every one, twice, (2 n_past + 64,)
    PAIRS,  # of the last tau steps with every one, (tau, n_past)
    TRACE_PRODUCTS,  # of the newest trace with those of every slot, (n_slots,)
    SIGNALS,  # e, (n_slots, n_padded)
    SIGNAL_SUMS,  # of eight slots each, (n_slots / 8, n_padded)
    PASTS,  # e (beta * z)_{t-1}, (n_slots, n_padded); only where feedback weights learn
    PAST_SUMS,  # of eight slots each
    MATRIX,  # random feedback to this layer, (n_neurons, padded readout)
    WORKING,  # (max(n_padded, 2 n_past + 64),)
    OWN,  # in the lists: spikes of the last feedback tau + 1 steps, (feedback tau + 1, n_neurons)
    OWN_COUNTS,  # (feedback tau + 1,)
    LEARNS_FEEDBACK,
    SURROGATE,  # BOXCAR, SIGMOID or SUPERSPIKE
    PRIOR,  # in the factors: logits of the prior, (n_padded,); readout only
) = range(16)
N_RING_FIELDS = 16
BOXCAR, SIGMOID, SUPERSPIKE = range(3)
COLUMNS = unsigned(1024)  # of a signal: those of a whole block stay in the second-level cache
EIGHT = unsigned(8)
WORD = unsigned(64)
ALL = ~ZERO


class Factors(NamedTuple):
    """Memory of the factors; flat arrays as in ``numba_plan``."""

    rings: Plan  # (n_layers, N_RING_FIELDS)
    values: Floats
    history: Keys  # bit s modulo n_past of an input: whether it was active at step s
    lists: Integers  # int32
    coefficients: npt.NDArray[np.float64]  # c, (n_slots,)
    scales: Floats  # working memory, longer than n_past
    places: Keys  # working memory, longer than n_past
    units: Keys  # working memory: numbers of neurons or inputs
    responses: Floats  # working memory, (n_slots + 8,)
    held: Floats  # working memory: h of a range of columns, (n_past, COLUMNS)
    norms: npt.NDArray[np.float64]  # squares of every layer's trace, then of the whole factor


@part
def add_to_parameters(
    network: Network, row: Plan, ring: Plan, factors: Factors, first: Size, last: Size,
    change: float,
) -> None:  # fmt: skip
    """Biases, and feedback weights that learn: the change of one update, at once."""
    for rows, sums, target, learns in (
        (ring[SIGNALS], ring[SIGNAL_SUMS], row[BIAS], ONE),
        (ring[PASTS], ring[PAST_SUMS], row[FEEDBACK_WEIGHTS], ring[LEARNS_FEEDBACK]),
    ):
        if learns == ONE:
            n = _list_rows(factors, rows, sums, row[N_PADDED], first, last)
            for k in range(n):
                factors.scales[k] = change
            add_scaled_rows(
                network.constants, target, row[N_PADDED], n, factors.scales, factors.places,
                factors.values, ZERO,
            )  # fmt: skip


@part
def _list_rows(
    factors: Factors, rows: Size, sums: Size, n_padded: Size, first: Size, last: Size
) -> Size:
    """Where rows begin whose sum is that of the slots of ``first`` to ``last``: eights are ready.

    The newest eight may have begun only.
    """
    n_slots, n, step = unsigned(len(factors.coefficients)), ZERO, first
    while step < last:
        if step % EIGHT == ZERO:
            factors.places[n] = sums + step % n_slots // EIGHT * n_padded
            step += EIGHT
        else:
            factors.places[n] = rows + step % n_slots * n_padded
            step += ONE
        n += ONE
    return n


@part
def add_to_sums(values: Floats, rows: Size, sums: Size, n_padded: Size, slot: Size) -> None:
    """Add the row of a slot to the sum of its eight, which the first of them begins."""
    source, target = rows + slot * n_padded, sums + slot // EIGHT * n_padded
    if slot % EIGHT == ZERO:
        for i in range(n_padded):
            values[target + i] = values[source + i]
    else:
        for i in range(n_padded):
            values[target + i] += values[source + i]


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
def fill_past(
    network: Network, row: Plan, ring: Plan, factors: Factors, now: Size, n_neurons: Size
) -> None:
    """The signals times the feedback traces (beta * z)_{t-1}, into the slot of this step."""
    values, lists, n_padded = factors.values, factors.lists, row[N_PADDED]
    slot = now % unsigned(len(factors.coefficients)) * n_padded
    tau, kernel, trace = row[FEEDBACK_TAU], row[FEEDBACK_KERNELS], ring[WORKING]
    for i in range(n_padded):
        values[trace + i] = 0
    for back in range(ONE, tau + ONE):  # from the oldest step to the newest
        lag = tau - back
        line = (now + tau - lag) % (tau + ONE)
        weight, first = network.constants[kernel + lag], ring[OWN] + line * n_neurons
        for k in range(unsigned(lists[ring[OWN_COUNTS] + line])):
            values[trace + unsigned(lists[first + k])] += weight
    for i in range(n_neurons):
        values[ring[PASTS] + slot + i] = values[ring[SIGNALS] + slot + i] * values[trace + i]
