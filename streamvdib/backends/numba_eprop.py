"""e-prop at every step as compiled loops: an update of rank one per step, weights touched later.

    e_t   = y_t - sigma(u_t)   readout (eq. 19)          e_t = psi(u_t) (B e_t^readout)   hidden
    l_t   = decoder loss + beta log(p / q) of the step, less its running mean    (eq. 12 to 14)
    dW    = -eta l_t sum_s xbar_s (x) e_s        s: the step and the n_credited - 1 before it

The coefficient of a step's factor grows while the step is credited; then it is written into the
weights with those of a block of steps (module ``numba_factors``). One lane, dense layers.
"""

from __future__ import annotations

import math
from typing import Any

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
from streamvdib.backends.numba_draws import logistic
from streamvdib.backends.numba_encoder import (
    Network,
    Scratch,
    fill_current,
    fire,
    integrate,
    layer_filters,
    list_spikes,
)
from streamvdib.backends.numba_factors import (
    BOXCAR,
    LEARNS_FEEDBACK,
    MATRIX,
    OWN,
    OWN_COUNTS,
    PASTS,
    PRIOR,
    SIGMOID,
    SIGNALS,
    SOURCE_COUNTS,
    SOURCES,
    SURROGATE,
    TRACES,
    WORKING,
    Factors,
    add_to_parameters,
    correct_current,
    fill_past,
    fill_trace,
    remember,
    write_factors,
)
from streamvdib.backends.numba_plan import (
    FEEDBACK_TAU,
    N_BASIS,
    N_INPUTS,
    N_NEURONS,
    N_PADDED,
    POTENTIALS,
    TAU,
    Plan,
)
from streamvdib.backends.numba_sums import dot

Numbers = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

# What the rule goes by and what it remembers: places in ``numbers`` and ``counts``.
(
    LOSS,  # nats, of the last decoding
    BETA,
    LEARNING_RATE,
    LARGEST_NORM,  # of a gradient, 0: never clipped
    MEAN,  # running, of the common signal
    MEAN_RATE,
    DECODER_SQUARE,  # squared norm of the decoder's gradient, for the next update only
    PRIOR_COST,  # sum of softplus of the prior's logits
    INFORMATION,  # nats, mean of the steps that the last update was about
    NORM,  # of the last gradient, before clipping
    SCALE,  # what clipping has left of it
) = range(11)
N_NUMBERS = 11
(
    N_SEEN,  # steps since the start; the number of the next factor
    N_WRITTEN,  # factors that are in the weights
    N_UPDATES,
    N_MEAN,  # values in the running mean
    WAITS,  # whether the newest step's update is still to come
    HAS_LOSS,
    HAS_BASELINE,
    DIVERGED,
    WARM_UP,
    N_CREDITED,
    N_BLOCK,  # K
    N_NEW,  # steps since the last update
    EVERY_STEP,  # 1: an update after each step, 0: only when asked
    HOLDS,  # 1: weights are written only when asked
) = range(14)
N_COUNTS = 14
LARGEST_GRADIENT = 1e6
PRODUCTS = 512  # factors of at least 1/2: their product is no smaller than 2^-512


@compiled
def advance_learning(
    plan: Plan, orders: Integers, constants: Floats, memory: Floats, keys: Keys,
    draws: Floats, starts: Integers, ends: Integers, spike_lists: Integers,
    rings: Plan, values: Floats, lists: Integers, coefficients: Numbers, scales: Floats,
    places: Keys, norms: Numbers, products: Numbers, costs: Numbers, numbers: Numbers,
    counts: Counts,
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
    factors = Factors(rings, values, lists, coefficients, scales, places, norms)
    n_steps = unsigned(len(offsets) - 1)
    for index in range(n_steps):
        if counts[EVERY_STEP]:
            _update(network, factors, products, costs, numbers, counts)
        if counts[HOLDS] == 0:
            _write_complete(network, factors, counts)
        _advance_step(
            network, scratch, factors, step + index, unsigned(counts[N_SEEN]),
            indices, offsets[index], offsets[index + ONE], n_steps, index, spikes, potentials,
        )  # fmt: skip
        cost = _signals(network, factors, numbers, unsigned(counts[N_SEEN]))
        costs[unsigned(counts[N_SEEN]) % unsigned(len(costs))] = cost
        if numbers[LARGEST_NORM] > 0:
            _fill_products(network, factors, products, unsigned(counts[N_SEEN]))
        counts[N_SEEN] += 1
        counts[N_NEW] += 1
        counts[WAITS] = 1


@compiled
def update(
    plan: Plan, orders: Integers, constants: Floats, memory: Floats, keys: Keys,
    rings: Plan, values: Floats, lists: Integers, coefficients: Numbers, scales: Floats,
    places: Keys, norms: Numbers, products: Numbers, costs: Numbers, numbers: Numbers,
    counts: Counts,
) -> None:  # fmt: skip
    """Make the update that waits, if one does."""
    network = Network(plan, orders, constants, memory, keys)
    factors = Factors(rings, values, lists, coefficients, scales, places, norms)
    _update(network, factors, products, costs, numbers, counts)


@compiled
def write_complete(
    plan: Plan, orders: Integers, constants: Floats, memory: Floats, keys: Keys,
    rings: Plan, values: Floats, lists: Integers, coefficients: Numbers, scales: Floats,
    places: Keys, norms: Numbers, counts: Counts,
) -> None:  # fmt: skip
    """Write the factors that are credited no more, once they are a block."""
    network = Network(plan, orders, constants, memory, keys)
    factors = Factors(rings, values, lists, coefficients, scales, places, norms)
    _write_complete(network, factors, counts)


@compiled
def write_all(
    plan: Plan, orders: Integers, constants: Floats, memory: Floats, keys: Keys,
    rings: Plan, values: Floats, lists: Integers, coefficients: Numbers, scales: Floats,
    places: Keys, norms: Numbers, counts: Counts,
) -> None:  # fmt: skip
    """Write every factor into the weights, and begin anew with none."""
    network = Network(plan, orders, constants, memory, keys)
    factors = Factors(rings, values, lists, coefficients, scales, places, norms)
    _write(network, factors, unsigned(counts[N_WRITTEN]), unsigned(counts[N_SEEN]))
    counts[N_SEEN] = counts[N_WRITTEN] = counts[WAITS] = counts[N_NEW] = 0
    lists[:] = 0


@part
def _update(
    network: Network, factors: Factors, products: Numbers, costs: Numbers, numbers: Numbers,
    counts: Counts,
) -> None:  # fmt: skip
    """Credit the last steps with the common signal of the newest one."""
    if counts[WAITS] == 0:
        return
    counts[WAITS] = 0
    seen = counts[N_SEEN]
    if counts[HAS_LOSS] == 0 or counts[DIVERGED] or seen <= counts[WARM_UP]:
        return
    first, last = unsigned(max(seen - counts[N_CREDITED], 0)), unsigned(seen)
    signal = _centred(costs, numbers, counts)
    _clip(products, numbers, signal, first, last)
    change = -numbers[LEARNING_RATE] * signal * numbers[SCALE]
    if not (math.isfinite(change) and numbers[NORM] <= LARGEST_GRADIENT):
        counts[DIVERGED] = 1
        return
    counts[N_UPDATES] += 1
    n_slots = unsigned(len(factors.coefficients))
    for s in range(first, last):
        factors.coefficients[s % n_slots] += change
    if change != 0:
        for layer in range(len(network.plan)):
            row, ring = network.plan[layer], factors.rings[layer]
            add_to_parameters(network, row, ring, factors, first, last, change)


@part
def _centred(costs: Numbers, numbers: Numbers, counts: Counts) -> Any:
    """The common signal less its running mean of earlier updates; the first has itself as mean."""
    n_new, total = min(counts[N_NEW], counts[N_SEEN], len(costs)), 0.0
    for step in range(counts[N_SEEN] - n_new, counts[N_SEEN]):
        total += costs[unsigned(step) % unsigned(len(costs))]
    counts[N_NEW] = 0
    numbers[INFORMATION] = total / max(n_new, 1)
    common = numbers[LOSS] + numbers[BETA] * total
    if counts[HAS_BASELINE] == 0:
        return common
    before = numbers[MEAN] if counts[N_MEAN] else common
    counts[N_MEAN] += 1
    rate = max(1.0 / counts[N_MEAN], numbers[MEAN_RATE])
    numbers[MEAN] = before + rate * (common - before)
    return common - before


@part
def _clip(products: Numbers, numbers: Numbers, signal: float, first: Size, last: Size) -> None:
    """Norm of the whole gradient, from the products of its factors, and what clipping leaves."""
    numbers[NORM], numbers[SCALE] = 0, 1
    if numbers[LARGEST_NORM] > 0:
        n_slots, square = unsigned(len(products)), 0.0
        for s in range(first, last):
            for t in range(first, s):
                square += 2 * products[s % n_slots, t % n_slots]
            square += products[s % n_slots, s % n_slots]
        square = signal * signal * max(square, 0.0) + numbers[DECODER_SQUARE]
        numbers[NORM] = math.sqrt(square)
        numbers[SCALE] = min(1.0, numbers[LARGEST_NORM] / (numbers[NORM] + 1e-12))
    numbers[DECODER_SQUARE] = 0


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
    network: Network, scratch: Scratch, factors: Factors, step: Size, now: Size,
    indices: Integers, start: int, end: int, n_steps: Size, index: Size,
    spikes: Bytes, potentials: Floats,
) -> None:  # fmt: skip
    """Every layer in turn, with the weights of this very step."""
    lists, active, written = factors.lists, indices, ZERO
    slot = now % unsigned(len(factors.coefficients))
    for layer in range(len(network.plan)):
        row, ring = network.plan[layer], factors.rings[layer]
        n_neurons, memory = row[N_NEURONS], network.memory
        response, feedback = layer_filters(row, ZERO)
        current = response.history + (step % response.tau) * response.n_basis * row[N_PADDED]
        fired = feedback.history + ((step + ONE) % feedback.tau) * row[N_PADDED]
        remember(
            lists, ring[SOURCES], ring[SOURCE_COUNTS], row[TAU], row[N_INPUTS], now,
            active, start, end,
        )  # fmt: skip
        factors.norms[layer, slot] = fill_trace(network, row, ring, factors, now)
        fill_current(network, row, active, start, end, current)
        correct_current(network, row, ring, factors, active, start, end, current)
        integrate(network, row, step, response, feedback, row[POTENTIALS])
        fire(network, scratch, row, ZERO, step, row[POTENTIALS], fired)
        active, start = scratch.indices[0], 0
        end = int(list_spikes(memory, fired, n_neurons, scratch.indices, 0, ZERO))
        if ring[LEARNS_FEEDBACK] == ONE:
            remember(
                lists, ring[OWN], ring[OWN_COUNTS], row[FEEDBACK_TAU] + ONE, n_neurons, now,
                active, start, end,
            )  # fmt: skip
        for i in range(n_neurons):
            spikes[written + index * n_neurons + i] = memory[fired + i] > 0
            potentials[written + index * n_neurons + i] = memory[row[POTENTIALS] + i]
        _error(network, row, ring, factors, now, fired)
        written += n_steps * n_neurons


@part
def _error(
    network: Network, row: Plan, ring: Plan, factors: Factors, now: Size, fired: Size
) -> None:
    """The readout's signal y - sigma(u); those of hidden layers come afterwards."""
    memory, values = network.memory, factors.values
    target = ring[SIGNALS] + (now % unsigned(len(factors.coefficients))) * row[N_PADDED]
    for i in range(row[N_NEURONS]):
        values[target + i] = memory[fired + i] - logistic(memory[row[POTENTIALS] + i])


@part
def _signals(network: Network, factors: Factors, numbers: Numbers, now: Size) -> float:
    """What the newest step's factors still lack, now that the readout has fired; its cost, nats."""
    last = len(network.plan) - 1
    slot = now % unsigned(len(factors.coefficients))
    readout_row, readout = network.plan[last], factors.rings[last]
    error = readout[SIGNALS] + slot * readout_row[N_PADDED]
    for layer in range(last):
        row, ring = network.plan[layer], factors.rings[layer]
        _send_back(network, row, ring, factors, slot, error, readout_row[N_PADDED])
    for layer in range(last + 1):
        row, ring = network.plan[layer], factors.rings[layer]
        if ring[LEARNS_FEEDBACK] == ONE:
            fill_past(network, row, ring, factors, now, row[N_NEURONS])
    _fill_norm(network, factors, slot)
    return float(
        numbers[PRIOR_COST] - _information(network, readout_row, factors, readout[PRIOR], error)
    )


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
    return dot(values, place, values, place, n, values, ring[WORKING])


@part
def _information(network: Network, row: Plan, factors: Factors, prior: Size, error: Size) -> float:
    """Minus log p(y) + log of the spikes' odds under the prior, summed over the readout, in nats.

    softplus(u) = max(u, 0) - log max(p, 1 - p), and the logarithms are those of products.
    """
    memory, values, total = network.memory, factors.values, 0.0
    product, n = 1.0, 0
    for i in range(row[N_NEURONS]):
        u, logit = memory[row[POTENTIALS] + i], values[prior + i]
        p = logistic(u)
        if values[error + i] > 0 or (p == 1 and values[error + i] == 0):  # it has spiked
            total -= u - logit
        total += max(u, 0)
        product *= max(p, 1 - p)
        n += 1
        if n == PRODUCTS:
            total -= math.log(product)
            product, n = 1.0, 0
    return total - math.log(product)


@part
def _send_back(
    network: Network, row: Plan, ring: Plan, factors: Factors, slot: Size, error: Size, n: Size
) -> None:
    """Signals of a hidden layer: the readout's errors through B, times the spike derivative."""
    memory, values = network.memory, factors.values
    target = ring[SIGNALS] + slot * row[N_PADDED]
    for i in range(row[N_NEURONS]):
        u = memory[row[POTENTIALS] + i]
        values[target + i] = 0
        if ring[SURROGATE] == BOXCAR:
            if not (u > -0.5 and u <= 0.5):
                continue
            slope = u * 0 + 1
        elif ring[SURROGATE] == SIGMOID:
            p = logistic(u)
            slope = p * (1 - p)
        else:
            slope = 1 / ((1 + abs(u)) * (1 + abs(u)))
        values[target + i] = slope * dot(
            values, ring[MATRIX] + i * n, values, error, n, values, ring[WORKING]
        )


@part
def _fill_products(network: Network, factors: Factors, products: Numbers, now: Size) -> None:
    """Products of the newest step's factors, all layers together, with those in the rings."""
    values, n_slots = factors.values, unsigned(len(factors.coefficients))
    slot = now % n_slots
    for s in range(n_slots):
        products[slot, s] = 0
    for layer in range(len(network.plan)):
        row, ring = network.plan[layer], factors.rings[layer]
        n_padded, traces = row[N_PADDED], factors.scales
        for s in range(n_slots):
            traces[s] = 1  # of the bias
        for place in range(row[N_BASIS] * row[N_INPUTS]):
            trace = ring[TRACES] + place * n_slots
            mine = values[trace + slot]
            if mine != 0:
                for s in range(n_slots):
                    traces[s] += mine * values[trace + s]
        own = ring[SIGNALS] + slot * n_padded
        for s in range(n_slots):
            other = ring[SIGNALS] + s * n_padded
            signal = dot(values, own, values, other, n_padded, values, ring[WORKING])
            products[slot, s] += traces[s] * signal
            if ring[LEARNS_FEEDBACK] == ONE:
                past, other = ring[PASTS] + slot * n_padded, ring[PASTS] + s * n_padded
                products[slot, s] += dot(
                    values, past, values, other, n_padded, values, ring[WORKING]
                )
    for s in range(n_slots):
        products[s, slot] = products[slot, s]
