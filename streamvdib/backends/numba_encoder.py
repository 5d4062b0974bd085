"""The encoder's step as compiled loops over a whole chunk of steps, layer by layer.

Layers do not feed back into earlier ones, so a layer runs through many steps before the next
begins: its weights and state stay in the cache. Lists of spikes pass from layer to layer in a
scratch array of bounded size; a long chunk is cut into pieces that fit it.
"""

from __future__ import annotations

from typing import NamedTuple

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
    inlined,
    part,
    unsigned,
)
from streamvdib.backends.numba_currents import (
    OUT_HEIGHT,
    OUT_WIDTH,
    scatter_kernels,
    sum_rows,
)
from streamvdib.backends.numba_draws import fill_draws, fill_draws_in_order, fire_at_random
from streamvdib.backends.numba_filters import Filter, integrate_exponentials, respond
from streamvdib.backends.numba_narrow import sum_bf16_rows, sum_int8_rows
from streamvdib.backends.numba_plan import (
    BIAS,
    CONNECTION,
    CONVOLUTION,
    CURRENTS,
    DENSE_BF16,
    DENSE_INT8,
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
    SCALES,
    STOCHASTIC,
    SUFFIXES,
    SUMS,
    TAU,
    TERMS,
    WEIGHTS,
    Plan,
)

OK, BAD_INDEX = 0, -1
BLOCK = unsigned(8)


class Network(NamedTuple):
    """Plan, numbers and memory of an encoder (see ``numba_plan``)."""

    plan: Plan
    orders: Integers
    constants: Floats
    memory: Floats
    keys: Keys  # (n_lanes,)


class Scratch(NamedTuple):
    """Working arrays, kept from call to call."""

    draws: Floats  # float32, (widest layer,)
    starts: Integers  # lists of spikes between layers, (2, n_rows)
    ends: Integers  # (2, n_rows)
    indices: Integers  # (2, n_rows * widest layer + 1)


class Watched(NamedTuple):
    """Where to write what every layer did; arrays without elements where nobody watches."""

    spikes: Bytes  # layer after layer, each (n_steps, n_lanes, n_neurons)
    potentials: Floats


@compiled
def advance(
    plan: Plan,
    orders: Integers,
    constants: Floats,
    memory: Floats,
    keys: Keys,
    draws: Floats,
    starts: Integers,
    ends: Integers,
    lists: Integers,
    step: Size,
    offsets: Integers,
    indices: Integers,
    result: Bytes,
    spikes: Bytes,
    potentials: Floats,
) -> int:
    """``_advance`` with every array by itself: numba takes tuples apart too slowly for one step."""
    network = Network(plan, orders, constants, memory, keys)
    scratch = Scratch(draws, starts, ends, lists)
    watched = Watched(spikes, potentials)
    return _advance(network, scratch, step, offsets, indices, result, watched)


@part
def _advance(
    network: Network,
    scratch: Scratch,
    step: Size,
    offsets: Integers,
    indices: Integers,
    result: Bytes,
    watched: Watched,
) -> int:
    """Advance every layer and lane over a chunk of steps.

    Args:
        network: its memory changes.
        scratch: working arrays.
        step: number of the first step, uint64.
        offsets: of the lists of active inputs, (n_steps * n_lanes + 1,).
        indices: active inputs.
        result: readout spikes, (n_steps * n_lanes * n_outputs,).
        watched: every layer's spikes and potentials.

    Returns:
        ``OK``, or ``BAD_INDEX`` where an input does not exist; nothing has changed then.
    """
    plan, n_lanes = network.plan, network.keys.shape[0]
    n_inputs = np.int32(plan[0, N_INPUTS])
    for k in range(offsets[0], offsets[-1]):
        if indices[k] < 0 or indices[k] >= n_inputs:
            return BAD_INDEX
    n_steps = (offsets.shape[0] - 1) // n_lanes
    piece = scratch.starts.shape[1] // n_lanes
    for first in range(0, n_steps, piece):
        last = min(first + piece, n_steps)
        starts = offsets[first * n_lanes : last * n_lanes]
        ends = offsets[first * n_lanes + 1 : last * n_lanes + 1]
        active, written = indices, ZERO
        for layer in range(plan.shape[0]):
            side = layer % 2
            cursor = ZERO
            for lane in range(n_lanes):
                cursor = _advance_lane(
                    network, scratch, side, plan[layer], layer == plan.shape[0] - 1,
                    unsigned(lane), step + unsigned(first), starts, ends, active, cursor,
                    result, unsigned(first), watched, written,
                )  # fmt: skip
            written += unsigned(n_steps * n_lanes) * plan[layer, N_NEURONS]
            starts, ends = scratch.starts[side, : len(starts)], scratch.ends[side, : len(starts)]
            active = scratch.indices[side]
    return OK


@part
def _advance_lane(
    network: Network,
    scratch: Scratch,
    side: int,
    row: Plan,
    is_readout: bool,
    lane: Size,
    step: Size,
    starts: Integers,
    ends: Integers,
    active: Integers,
    cursor: Size,
    result: Bytes,
    first: Size,
    watched: Watched,
    written: Size,
) -> Size:
    """One layer of one lane over the steps of a piece; the new end of the lists of spikes."""
    n_lanes, n_neurons, n_padded = unsigned(len(network.keys)), row[N_NEURONS], row[N_PADDED]
    response, feedback = layer_filters(row, lane)
    memory, potentials = network.memory, row[POTENTIALS] + lane * n_padded
    for index in range(unsigned(len(starts)) // n_lanes):
        now, entry = step + index, index * n_lanes + lane
        current = response.history + (now % response.tau) * response.n_basis * n_padded
        before = feedback.history + (now % feedback.tau) * n_padded
        spikes = feedback.history + ((now + ONE) % feedback.tau) * n_padded
        fill_current(network, row, active, starts[entry], ends[entry], current)
        if row[NEURON] == HARD_RESET:
            _leak_and_reset(network, row, current, potentials, before)
        else:
            integrate(network, row, now, response, feedback, potentials)
        fire(network, scratch, row, lane, now, potentials, spikes)
        place = ((first + index) * n_lanes + lane) * n_neurons
        if is_readout:
            write_spikes(memory, spikes, row, network.orders, result, place)
        else:
            scratch.starts[side, entry] = cursor
            cursor = list_spikes(memory, spikes, n_neurons, scratch.indices, side, cursor)
            scratch.ends[side, entry] = cursor
        if len(watched.spikes):
            place += written
            write_spikes(memory, spikes, row, network.orders, watched.spikes, place)
            write_potentials(memory, potentials, row, network.orders, watched.potentials, place)
    return cursor


@part
def layer_filters(row: Plan, lane: Size) -> tuple[Filter, Filter]:
    """Response and feedback response of a lane."""
    n_padded = row[N_PADDED]
    tau, n_basis, n_terms = row[TAU], row[N_BASIS], row[N_TERMS]
    response = Filter(
        tau, n_padded, n_basis, n_terms, row[KERNELS], row[TERMS], row[POWERS],
        row[CURRENTS] + lane * tau * n_basis * n_padded,
        row[SUMS] + lane * n_terms * n_padded,
        row[SUFFIXES] + lane * max(n_terms, ONE) * tau * n_padded,
    )  # fmt: skip
    tau, n_terms = row[FEEDBACK_TAU], row[FEEDBACK_N_TERMS]
    feedback = Filter(
        tau, n_padded, ONE, n_terms,
        row[FEEDBACK_KERNELS], row[FEEDBACK_TERMS], row[FEEDBACK_POWERS],
        row[PAST_SPIKES] + lane * tau * n_padded,
        row[FEEDBACK_SUMS] + lane * n_terms * n_padded,
        row[FEEDBACK_SUFFIXES] + lane * max(n_terms, ONE) * tau * n_padded,
    )  # fmt: skip
    return response, feedback


@inlined
def fill_current(
    network: Network, row: Plan, active: Integers, start: int, end: int, current: Size
) -> None:
    """Postsynaptic currents of one step, (n_basis, n_padded)."""
    n_basis, n_padded = row[N_BASIS], row[N_PADDED]
    if row[CONNECTION] == CONVOLUTION:
        geometry = row[GEOMETRY:].astype(np.int64)
        channels = row[N_NEURONS] // unsigned(geometry[OUT_HEIGHT] * geometry[OUT_WIDTH])
        scatter_kernels(
            network.constants, row[WEIGHTS], n_basis, n_padded, channels, geometry,
            active, start, end, network.memory, current,
        )  # fmt: skip
    elif row[CONNECTION] == DENSE_BF16:
        sum_bf16_rows(
            network.constants, row[WEIGHTS], n_basis * n_padded,
            active, start, end, network.memory, current,
        )  # fmt: skip
    elif row[CONNECTION] == DENSE_INT8:
        sum_int8_rows(
            network.constants, row[WEIGHTS], row[SCALES], n_basis * n_padded,
            active, start, end, network.memory, current,
        )  # fmt: skip
    else:
        sum_rows(
            network.constants, row[WEIGHTS], n_basis * n_padded,
            active, start, end, network.memory, current,
        )  # fmt: skip


@inlined
def integrate(
    network: Network, row: Plan, step: Size, response: Filter, feedback: Filter, potentials: Size
) -> None:
    """U = (alpha * I) + w_fb (beta * z) + bias of one step."""
    constants, memory, n_padded = network.constants, network.memory, row[N_PADDED]
    weights, bias = row[FEEDBACK_WEIGHTS], row[BIAS]
    if response.n_terms == ONE and feedback.n_terms == ONE:
        integrate_exponentials(
            step, response, feedback, constants, weights, bias, memory, potentials
        )
        return
    for i in range(n_padded):
        memory[potentials + i] = 0
    respond(step, feedback, constants, memory, potentials)
    for i in range(n_padded):
        memory[potentials + i] = (
            constants[weights + i] * memory[potentials + i] + constants[bias + i]
        )
    respond(step, response, constants, memory, potentials)


@inlined
def _leak_and_reset(
    network: Network, row: Plan, current: Size, potentials: Size, before: Size
) -> None:
    """V - V_th of leaky integrate-and-fire neurons that go back to zero when they spike."""
    constants, memory, bias = network.constants, network.memory, row[BIAS]
    decay, threshold = constants[row[FEEDBACK_KERNELS]], constants[row[FEEDBACK_KERNELS] + ONE]
    for i in range(row[N_PADDED]):
        keep = decay - decay * memory[before + i]
        kept = (memory[potentials + i] + threshold) * keep
        memory[potentials + i] = kept + memory[current + i] + (constants[bias + i] - threshold)


@inlined
def fire(
    network: Network,
    scratch: Scratch,
    row: Plan,
    lane: Size,
    step: Size,
    potentials: Size,
    spikes: Size,
) -> None:
    """Spikes of one step from its potentials."""
    memory, n_padded = network.memory, row[N_PADDED]
    if row[NEURON] != STOCHASTIC:
        for i in range(n_padded):
            memory[spikes + i] = memory[potentials + i] >= 0
        return
    key = network.keys[lane]
    if row[CONNECTION] == CONVOLUTION:
        fill_draws_in_order(key, step, row[N_NEURONS], network.orders, row[ORDER], scratch.draws)
    else:
        fill_draws(key, step, n_padded, scratch.draws)
    fire_at_random(scratch.draws, n_padded, memory, potentials, spikes)


@inlined
def write_spikes(
    memory: Floats, spikes: Size, row: Plan, orders: Integers, target: Bytes, place: Size
) -> None:
    """Copy the spikes of a step, each to the neuron's own number."""
    if row[CONNECTION] == CONVOLUTION:
        for i in range(row[N_NEURONS]):
            target[place + unsigned(orders[row[ORDER] + i])] = memory[spikes + i] > 0
    else:
        for i in range(row[N_NEURONS]):
            target[place + i] = memory[spikes + i] > 0


@inlined
def write_potentials(
    memory: Floats, potentials: Size, row: Plan, orders: Integers, target: Floats, place: Size
) -> None:
    """Copy the potentials of a step, each to the neuron's own number."""
    if row[CONNECTION] == CONVOLUTION:
        for i in range(row[N_NEURONS]):
            target[place + unsigned(orders[row[ORDER] + i])] = memory[potentials + i]
    else:
        for i in range(row[N_NEURONS]):
            target[place + i] = memory[potentials + i]


@part
def list_spikes(
    memory: Floats, spikes: Size, n_neurons: Size, indices: Integers, side: int, cursor: Size
) -> Size:
    """Append the numbers of the neurons that spike to a list; its new end.

    Eight silent neurons are passed over at once.
    """
    for block in range((n_neurons + BLOCK - ONE) // BLOCK):
        low = block * BLOCK
        total = memory[spikes + low]
        for i in range(ONE, BLOCK):
            total += memory[spikes + low + i]
        if total > 0:
            for i in range(low, min(low + BLOCK, n_neurons)):
                indices[side, cursor] = i
                cursor += unsigned(memory[spikes + i] > 0)
    return cursor
