"""e-prop at every step as compiled loops: an update of rank one per step, weights touched later.

    dW = -eta l_t sum_s xbar_s (x) e_s        s: the step and the n_credited - 1 before it

xbar: ``numba_overlaps``; e: ``numba_signals``; l: ``numba_updates``. The coefficient of a step's
factor grows while the step is credited; then it is written into the weights with those of a block
of steps (``numba_factors``). One lane, dense layers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamvdib.backends.compilation import (
    ONE,
    ZERO,
    Bytes,
    Floats,
    Integers,
    Keys,
    Size,
    compiled,
    part,
    unsigned,
)
from streamvdib.backends.numba_factors import (
    LEARNS_FEEDBACK,
    N_PAST,
    OWN,
    OWN_COUNTS,
    PAIRS,
    Factors,
    remember,
)
from streamvdib.backends.numba_neurons import (
    Network,
    Scratch,
    fill_currents,
    fire,
    integrate,
    layer_filters,
)
from streamvdib.backends.numba_overlaps import correct_current, fill_trace_products, note_active
from streamvdib.backends.numba_plan import (
    FEEDBACK_TAU,
    N_NEURONS,
    N_PADDED,
    POTENTIALS,
    TAU,
    Plan,
)
from streamvdib.backends.numba_signals import fill_error, fill_products, fill_signals, information
from streamvdib.backends.numba_spikes import list_spikes
from streamvdib.backends.numba_updates import (
    EVERY_STEP,
    HOLDS,
    LARGEST_NORM,
    N_BLOCK,
    N_CREDITED,
    N_NEW,
    N_SEEN,
    N_WRITTEN,
    PRIOR_COST,
    WAITS,
    make_update,
)
from streamvdib.backends.numba_writing import write_factors

Numbers = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@compiled
def advance_learning(
    plan: Plan, orders: Integers, constants: Floats, memory: Floats, keys: Keys,
    draws: Floats, starts: Integers, ends: Integers, spike_lists: Integers,
    rings: Plan, values: Floats, history: Keys, lists: Integers, coefficients: Numbers,
    scales: Floats, places: Keys, units: Keys, responses: Floats, held: Floats, norms: Numbers,
    products: Numbers, costs: Numbers, numbers: Numbers, counts: Counts,
    step: Size, offsets: Integers, indices: Integers, spikes: Bytes, potentials: Floats,
) -> None:  # fmt: skip
    """Advance one lane over a chunk of steps and learn from each but the newest.

    The update of a step waits for the next one, so that the loss of a decoding in between counts.

    The first five arrays are the ``Network``, the next four the ``Scratch``, then come the
    ``Factors`` and what the rule remembers. ``spikes`` and ``potentials`` take those of every
    layer, layer after layer, each (n_steps, n_neurons).
    """
    network = Network(plan, orders, constants, memory, keys)
    scratch = Scratch(draws, starts, ends, spike_lists)
    factors = Factors(
        rings, values, history, lists, coefficients, scales, places, units, responses, held,
        norms,
    )  # fmt: skip
    n_steps, is_clipped = unsigned(len(offsets) - 1), numbers[LARGEST_NORM] > 0
    for index in range(n_steps):
        if counts[EVERY_STEP]:
            make_update(network, factors, products, costs, numbers, counts)
        if counts[HOLDS] == 0:
            _write_complete(network, factors, counts)
        now = unsigned(counts[N_SEEN])
        cost = _advance_step(
            network, scratch, factors, counts, step + index, now, indices, offsets[index],
            offsets[index + ONE], n_steps, index, spikes, potentials,
            is_clipped or counts[HOLDS] != 0,
        )  # fmt: skip
        costs[now % unsigned(len(costs))] = numbers[PRIOR_COST] - cost
        fill_signals(network, factors, now)
        if is_clipped:
            fill_products(network, factors, products, now, unsigned(counts[N_CREDITED]))
        counts[N_SEEN] += 1
        counts[N_NEW] += 1
        counts[WAITS] = 1


@compiled
def update(
    plan: Plan, orders: Integers, constants: Floats, memory: Floats, keys: Keys,
    rings: Plan, values: Floats, history: Keys, lists: Integers, coefficients: Numbers,
    scales: Floats, places: Keys, units: Keys, responses: Floats, held: Floats, norms: Numbers,
    products: Numbers, costs: Numbers, numbers: Numbers, counts: Counts,
) -> None:  # fmt: skip
    """Make the update that waits, if one does."""
    network = Network(plan, orders, constants, memory, keys)
    factors = Factors(
        rings, values, history, lists, coefficients, scales, places, units, responses, held,
        norms,
    )  # fmt: skip
    make_update(network, factors, products, costs, numbers, counts)


@compiled
def write_complete(
    plan: Plan, orders: Integers, constants: Floats, memory: Floats, keys: Keys,
    rings: Plan, values: Floats, history: Keys, lists: Integers, coefficients: Numbers,
    scales: Floats, places: Keys, units: Keys, responses: Floats, held: Floats,
    norms: Numbers, counts: Counts,
) -> None:  # fmt: skip
    """Write the factors that are credited no more, once they are a block."""
    network = Network(plan, orders, constants, memory, keys)
    factors = Factors(
        rings, values, history, lists, coefficients, scales, places, units, responses, held,
        norms,
    )  # fmt: skip
    _write_complete(network, factors, counts)


@compiled
def write_all(
    plan: Plan, orders: Integers, constants: Floats, memory: Floats, keys: Keys,
    rings: Plan, values: Floats, history: Keys, lists: Integers, coefficients: Numbers,
    scales: Floats, places: Keys, units: Keys, responses: Floats, held: Floats,
    norms: Numbers, counts: Counts,
) -> None:  # fmt: skip
    """Write every factor into the weights, and begin anew with none."""
    network = Network(plan, orders, constants, memory, keys)
    factors = Factors(
        rings, values, history, lists, coefficients, scales, places, units, responses, held,
        norms,
    )  # fmt: skip
    _write(network, factors, unsigned(counts[N_WRITTEN]), unsigned(counts[N_SEEN]))
    counts[N_SEEN] = counts[N_WRITTEN] = counts[WAITS] = counts[N_NEW] = 0
    history[:] = 0
    lists[:] = 0
    for layer in range(len(plan)):
        for place in range(plan[layer, TAU] * rings[layer, N_PAST]):
            values[rings[layer, PAIRS] + place] = 0


@part
def _write_complete(network: Network, factors: Factors, counts: Counts) -> None:
    """Write the factors that are credited no more, once they are a block."""
    n_complete = counts[N_SEEN] - counts[N_CREDITED] + 1
    if n_complete - counts[N_WRITTEN] >= counts[N_BLOCK]:
        _write(network, factors, unsigned(counts[N_WRITTEN]), unsigned(n_complete))
        counts[N_WRITTEN] = n_complete


@part
def _write(network: Network, factors: Factors, first: Size, last: Size) -> None:
    n_slots = unsigned(len(factors.coefficients))
    for layer in range(len(network.plan)):
        write_factors(network, network.plan[layer], factors.rings[layer], factors, first, last)
    for s in range(first, last):
        factors.coefficients[s % n_slots] = 0


@part
def _advance_step(
    network: Network, scratch: Scratch, factors: Factors, counts: Counts, step: Size, now: Size,
    indices: Integers, start: int, end: int, n_steps: Size, index: Size,
    spikes: Bytes, potentials: Floats, needs_norms: bool,
) -> float:  # fmt: skip
    """Every layer in turn, with the weights of this very step; the readout's ``information``."""
    active, done, cost = indices, ZERO, 0.0
    slot = now % unsigned(len(factors.coefficients))
    for layer in range(len(network.plan)):
        row, ring = network.plan[layer], factors.rings[layer]
        n_neurons, n_padded, memory = row[N_NEURONS], row[N_PADDED], network.memory
        response, feedback = layer_filters(row, ZERO)
        turn, feedback_turn = step % response.tau, step % feedback.tau
        current = response.history + turn * response.n_basis * n_padded
        fired = feedback.history + ((step + ONE) % feedback.tau) * n_padded
        note_active(row, ring, factors, now, active, start, end)
        if needs_norms:
            factors.norms[layer, slot] = fill_trace_products(network, row, ring, factors, now)
        fill_currents(network, row, ZERO, n_padded, active, start, end, current)
        written = unsigned(counts[N_WRITTEN])
        correct_current(network, row, ring, factors, written, now, current)
        integrate(
            network, row, ZERO, n_padded, turn, feedback_turn, response, feedback, row[POTENTIALS]
        )
        fire(network, scratch, row, ZERO, ZERO, n_padded, step, row[POTENTIALS], fired)
        active, start = scratch.indices[0], 0
        end = int(list_spikes(memory, fired, n_neurons, scratch.indices, 0, ZERO))
        if ring[LEARNS_FEEDBACK] == ONE:
            remember(
                factors.lists, ring[OWN], ring[OWN_COUNTS], row[FEEDBACK_TAU] + ONE, n_neurons, now,
                active, start, end,
            )  # fmt: skip
        place, potential = done + index * n_neurons, row[POTENTIALS]
        for i in range(n_neurons):
            spikes[place + i] = memory[fired + i] > 0
        for i in range(n_neurons):
            potentials[place + i] = memory[potential + i]
        done += n_steps * n_neurons
        if layer == len(network.plan) - 1:
            fill_error(network, row, ring, factors, now, fired)
            cost = information(network, row, ring, factors, fired)
    return cost
