"""The encoder's step as compiled loops over a whole chunk of steps, layer by layer.

Layers do not feed back into earlier ones, so a layer runs through many steps before the next
begins: its weights and state stay in the cache. Lists of spikes pass from layer to layer in a
scratch array of bounded size; a long chunk is cut into pieces that fit it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamvdib.backends.compilation import ZERO, Bytes, Floats, Integers, Keys, compiled, part
from streamvdib.backends.numba_currents import (
    CHANNELS,
    KERNEL,
    OUT_HEIGHT,
    OUT_WIDTH,
    scatter_kernels,
    sum_rows,
)
from streamvdib.backends.numba_draws import draw, fill_draws, fire_at_random
from streamvdib.backends.numba_filters import clear, consume, slide, spread_current
from streamvdib.backends.numba_plan import (
    BIAS,
    CONNECTION,
    CONVOLUTION,
    CURRENTS,
    FEEDBACK_KERNELS,
    FEEDBACK_N_TERMS,
    FEEDBACK_POWERS,
    FEEDBACK_SUFFIXES,
    FEEDBACK_SUMS,
    FEEDBACK_TAU,
    FEEDBACK_TERMS,
    FEEDBACK_WEIGHTS,
    GEOMETRY,
    HARD_RESET,
    KERNELS,
    N_BASIS,
    N_INPUTS,
    N_NEURONS,
    N_PADDED,
    N_TERMS,
    NEURON,
    ORDER,
    PAST_SPIKES,
    POTENTIALS,
    POWERS,
    SPIKES,
    STOCHASTIC,
    SUFFIXES,
    SUMS,
    TAU,
    TERMS,
    WEIGHTS,
    Plan,
)

OK, BAD_INDEX = 0, -1


class Network(NamedTuple):
    """Plan, numbers and memory of an encoder (see ``numba_plan``)."""

    plan: Plan
    orders: Integers
    constants: Floats
    memory: Floats
    spike_memory: Bytes
    keys: Keys  # (n_lanes,)


class Scratch(NamedTuple):
    """Working arrays, kept from call to call."""

    current: Floats  # (widest current,)
    trace: Floats  # (widest layer,)
    previous: Floats  # (widest layer,)
    draws: Floats  # float32, (widest layer,)
    starts: Integers  # lists of spikes between layers, (2, n_rows)
    ends: Integers  # (2, n_rows)
    indices: Integers  # (2, n_rows * widest layer)


class Watched(NamedTuple):
    """Where to write what every layer did; arrays without elements where nobody watches."""

    spikes: Bytes  # layer after layer, each (n_steps, n_lanes, n_neurons)
    potentials: Floats


@compiled
def advance(
    network: Network,
    scratch: Scratch,
    step: int,
    offsets: Integers,
    indices: Integers,
    result: Bytes,
    watched: Watched,
) -> int:
    """Advance every layer and lane over a chunk of steps.

    Args:
        network: changed in place: its memory.
        scratch: working arrays.
        step: number of the first step.
        offsets: of the lists of active inputs, (n_steps * n_lanes + 1,).
        indices: active inputs.
        result: readout spikes, (n_steps, n_lanes, n_outputs).
        watched: every layer's spikes and potentials.

    Returns:
        ``OK``, or ``BAD_INDEX`` where an input does not exist; nothing has changed then.
    """
    n_inputs = network.plan[0, N_INPUTS]
    for k in range(offsets[0], offsets[-1]):
        if indices[k] < 0 or indices[k] >= n_inputs:
            return BAD_INDEX
    n_lanes, n_steps = network.keys.shape[0], result.shape[0]
    piece = scratch.starts.shape[1] // n_lanes
    for first in range(0, n_steps, piece):
        last = min(first + piece, n_steps)
        starts = offsets[first * n_lanes : last * n_lanes]
        ends = offsets[first * n_lanes + 1 : last * n_lanes + 1]
        _advance_piece(network, scratch, step, first, starts, ends, indices, result, watched)
    return OK


@part
def _advance_piece(
    network: Network,
    scratch: Scratch,
    step: int,
    first: int,
    starts: Integers,
    ends: Integers,
    indices: Integers,
    result: Bytes,
    watched: Watched,
) -> None:
    """Every layer over the steps of one piece."""
    plan, n_steps, written = (
        network.plan,
        result.shape[0],
        ZERO,
    )  # not a literal: compiled twice else
    for layer in range(plan.shape[0]):
        side = layer % 2
        next_starts, next_ends = scratch.starts[side], scratch.ends[side]
        next_indices = scratch.indices[side]
        cursor, n_lanes = ZERO, network.keys.shape[0]
        for lane in range(n_lanes):
            cursor = _advance_lane(
                network, scratch, layer, lane, step + first, starts, ends, indices,
                next_starts, next_ends, next_indices, cursor,
                result, first, watched, written,
            )  # fmt: skip
        written += n_steps * n_lanes * plan[layer, N_NEURONS]
        starts, ends = next_starts[: len(starts)], next_ends[: len(starts)]
        indices = next_indices


@part
def _advance_lane(
    network: Network,
    scratch: Scratch,
    layer: int,
    lane: int,
    step: int,
    starts: Integers,
    ends: Integers,
    indices: Integers,
    next_starts: Integers,
    next_ends: Integers,
    next_indices: Integers,
    cursor: int,
    result: Bytes,
    first: int,
    watched: Watched,
    written: int,
) -> int:
    """One layer of one lane over the steps of a piece; the new end of the lists of spikes."""
    row = network.plan[layer]
    n_lanes, n_padded, n_neurons = network.keys.shape[0], row[N_PADDED], row[N_NEURONS]
    is_readout = layer == network.plan.shape[0] - 1
    at = lane * n_padded
    potential = network.memory[row[POTENTIALS] + at : row[POTENTIALS] + at + n_padded]
    spikes = network.spike_memory[row[SPIKES] + at : row[SPIKES] + at + n_padded]
    for index in range(len(starts) // n_lanes):
        entry = index * n_lanes + lane
        _fill_current(network, row, scratch.current, indices, starts[entry], ends[entry])
        if row[NEURON] == HARD_RESET:
            _leak_and_reset(network.constants, row, scratch.current, potential, spikes)
        else:
            _respond(network, row, scratch, lane, step + index, potential, spikes)
        if row[NEURON] == STOCHASTIC:
            _draw(network, row, lane, step + index, scratch.draws[:n_padded])
            fire_at_random(potential, scratch.draws[:n_padded], spikes)
        else:
            for i in range(n_padded):
                spikes[i] = potential[i] >= 0
        if is_readout:
            _write(spikes, network.orders, row[ORDER], result[first + index, lane])
        else:
            next_starts[entry] = cursor
            for i in range(n_neurons):
                next_indices[cursor] = i
                cursor += spikes[i]
            next_ends[entry] = cursor
        if watched.spikes.shape[0]:
            place = written + ((first + index) * n_lanes + lane) * n_neurons
            _write(spikes, network.orders, row[ORDER], watched.spikes[place : place + n_neurons])
            _write(
                potential, network.orders, row[ORDER], watched.potentials[place : place + n_neurons]
            )
    return cursor


@part
def _fill_current(
    network: Network, row: Integers, current: Floats, indices: Integers, start: int, end: int
) -> None:
    """Postsynaptic currents of one step, (n_basis * n_padded,)."""
    n_basis, n_padded, begin = row[N_BASIS], row[N_PADDED], row[WEIGHTS]
    width = n_basis * n_padded
    if row[CONNECTION] == CONVOLUTION:
        geometry = row[GEOMETRY:]
        channels = row[N_NEURONS] // (geometry[OUT_HEIGHT] * geometry[OUT_WIDTH])
        n_rows = geometry[CHANNELS] * geometry[KERNEL] * geometry[KERNEL]
        weights = network.constants[begin : begin + n_rows * n_basis * channels]
        clear(current[:width])
        scatter_kernels(
            weights.reshape((n_rows, n_basis, channels)), indices, start, end, geometry,
            current[:width].reshape((n_basis, n_padded)),
        )  # fmt: skip
        return
    n_inputs = row[N_INPUTS]
    weights = network.constants[begin : begin + n_inputs * width].reshape((n_inputs, width))
    sum_rows(weights, indices, start, end, current[:width])


@part
def _respond(
    network: Network,
    row: Integers,
    scratch: Scratch,
    lane: int,
    step: int,
    potential: Floats,
    spikes: Bytes,
) -> None:
    """U = (alpha * I) + w_fb (beta * z) + bias of one step; ``spikes`` are those before it."""
    constants, memory, n_padded = network.constants, network.memory, row[N_PADDED]
    bias = constants[row[BIAS] : row[BIAS] + n_padded]
    weight = constants[row[FEEDBACK_WEIGHTS] : row[FEEDBACK_WEIGHTS] + n_padded]
    trace, previous = scratch.trace[:n_padded], scratch.previous[:n_padded]
    for i in range(n_padded):
        previous[i] = spikes[i]
        trace[i] = 0
    _feed_back(network, row, lane, step, previous, spikes, trace)
    for i in range(n_padded):
        potential[i] = weight[i] * trace[i] + bias[i]
    tau, n_basis, n_terms = row[TAU], row[N_BASIS], row[N_TERMS]
    size = tau * n_basis * n_padded
    begin = row[CURRENTS] + lane * size
    history = memory[begin : begin + size].reshape((tau, n_basis, n_padded))
    current = scratch.current[: n_basis * n_padded].reshape((n_basis, n_padded))
    if n_terms:
        terms, powers = exponentials(constants, row[TERMS], row[POWERS], n_terms, tau)
        sums, suffixes = sliding(memory, row[SUMS], row[SUFFIXES], lane, n_terms, tau, n_padded)
        lags = history.reshape((tau, n_padded))
        slide(step, current[0], lags, terms, powers, sums, suffixes, potential)
    else:
        kernels = constants[row[KERNELS] : row[KERNELS] + n_basis * tau].reshape((n_basis, tau))
        future = ring(memory, row[SUFFIXES], lane, tau, n_padded)
        spread_current(step, current, kernels, future)
        consume(step, future, potential)
    _write(scratch.current, network.orders, -1, history[step % tau].reshape(n_basis * n_padded))


@part
def _feed_back(
    network: Network,
    row: Integers,
    lane: int,
    step: int,
    previous: Floats,
    spikes: Bytes,
    trace: Floats,
) -> None:
    """Add beta * z up to the step before to ``trace``."""
    constants, memory, n_padded = network.constants, network.memory, row[N_PADDED]
    tau, n_terms = row[FEEDBACK_TAU], row[FEEDBACK_N_TERMS]
    begin = row[PAST_SPIKES] + lane * tau * n_padded
    past = network.spike_memory[begin : begin + tau * n_padded].reshape((tau, n_padded))
    if n_terms:
        terms, powers = exponentials(
            constants, row[FEEDBACK_TERMS], row[FEEDBACK_POWERS], n_terms, tau
        )
        sums, suffixes = sliding(
            memory, row[FEEDBACK_SUMS], row[FEEDBACK_SUFFIXES], lane, n_terms, tau, n_padded
        )
        slide(step, previous, past, terms, powers, sums, suffixes, trace)
    else:
        kernel = constants[row[FEEDBACK_KERNELS] : row[FEEDBACK_KERNELS] + tau].reshape((1, tau))
        future = ring(memory, row[FEEDBACK_SUFFIXES], lane, tau, n_padded)
        spread_current(step, previous.reshape((1, n_padded)), kernel, future)
        consume(step, future, trace)
    _write(spikes, network.orders, -1, past[step % tau])


@part
def _leak_and_reset(
    constants: Floats, row: Integers, current: Floats, potential: Floats, spikes: Bytes
) -> None:
    """V - V_th of leaky integrate-and-fire neurons that go back to zero when they spike."""
    decay, threshold = constants[row[FEEDBACK_KERNELS]], constants[row[FEEDBACK_KERNELS] + 1]
    bias = constants[row[BIAS] : row[BIAS] + row[N_PADDED]]
    for i in range(row[N_PADDED]):
        kept = (potential[i] + threshold) * decay if spikes[i] == 0 else potential[i] * 0
        potential[i] = kept + current[i] + (bias[i] - threshold)


@part
def _draw(network: Network, row: Integers, lane: int, step: int, draws: Floats) -> None:
    """Uniform draws of every neuron in its place."""
    key, counter = network.keys[lane], np.uint64(step)
    if row[ORDER] < 0:
        fill_draws(key, counter, draws)
        return
    order = network.orders[row[ORDER] : row[ORDER] + row[N_NEURONS]]
    for place in range(len(order)):
        draws[place] = draw(key, counter, np.uint64(order[place]))


@part
def _write(values: Floats, orders: Integers, order: int, target: Floats) -> None:
    """Copy one value per neuron, each to the neuron's own number."""
    if order < 0:
        for i in range(target.shape[0]):
            target[i] = values[i]
        return
    for i in range(target.shape[0]):
        target[orders[order + i]] = values[i]


@part
def exponentials(
    constants: Floats, terms: int, powers: int, n_terms: int, tau: int
) -> tuple[Floats, Floats]:
    """Coefficients and decays (n_terms, 2), and powers (n_terms, tau + 1)."""
    n_powers = n_terms * (tau + 1)
    return (
        constants[terms : terms + n_terms * 2].reshape((n_terms, 2)),
        constants[powers : powers + n_powers].reshape((n_terms, tau + 1)),
    )


@part
def sliding(
    memory: Floats, sums: int, suffixes: int, lane: int, n_terms: int, tau: int, n_padded: int
) -> tuple[Floats, Floats]:
    """R (n_terms, n_padded) and T (n_terms, tau, n_padded) of a lane."""
    size = n_terms * n_padded
    first, second = sums + lane * size, suffixes + lane * size * tau
    return (
        memory[first : first + size].reshape((n_terms, n_padded)),
        memory[second : second + size * tau].reshape((n_terms, tau, n_padded)),
    )


@part
def ring(memory: Floats, begin: int, lane: int, tau: int, n_padded: int) -> Floats:
    """Future potentials of a lane, (tau, n_padded)."""
    first = begin + lane * tau * n_padded
    return memory[first : first + tau * n_padded].reshape((tau, n_padded))
