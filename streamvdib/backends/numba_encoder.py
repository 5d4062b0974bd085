"""The encoder's step as compiled loops over a whole chunk of steps, layer by layer.

Layers do not feed back into earlier ones, nor neurons of a layer into each other: so a layer runs
through many steps before the next begins, and in a dense layer a group of neurons does so before
the next group. The group's weights stay in the second-level cache, its rings in the first. Spikes
pass from layer to layer in scratch arrays of bounded size; a long chunk is cut into pieces that
fit them.
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
    eight_bytes,
    inlined,
    part,
    trailing_zeros,
    unsigned,
)
from streamvdib.backends.numba_currents import OUT_HEIGHT, OUT_WIDTH, scatter_kernels
from streamvdib.backends.numba_draws import fill_draws, fill_draws_in_order, fire_at_random
from streamvdib.backends.numba_filters import (
    GROUP,
    Filter,
    integrate_exponentials,
    respond,
    wrapped,
)
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
from streamvdib.backends.numba_rows import sum_bf16_rows, sum_int8_rows, sum_rows
from streamvdib.backends.numba_vectors import WIDTH, Places, vector_kernel

OK, BAD_INDEX = 0, -1
TWO = unsigned(2)
VECTOR = unsigned(WIDTH)
FEW_STEPS = unsigned(12)  # too few to bring a group's weights and rings into the cache for
BF16_IN_FLOAT32, INT8_IN_FLOAT32 = unsigned(2), unsigned(4)
SIDE_BY_SIDE, HIGHEST_BYTE = unsigned(0x0102040810204080), unsigned(56)
WORD = unsigned(8)  # spikes that are looked at as one number


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
    starts: Integers  # lists of a lane's spikes between layers, (2, n_rows)
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
    raster: Bytes,
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
    return _advance(network, scratch, raster, step, offsets, indices, result, watched)


@part
def _advance(
    network: Network,
    scratch: Scratch,
    raster: Bytes,
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
        raster: takes the spikes of a hidden layer, (rows of the scratch * widest layer,).
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
    n_steps = unsigned(offsets.shape[0] - 1) // unsigned(n_lanes)
    piece = unsigned(scratch.starts.shape[1])
    for lane in range(unsigned(n_lanes)):
        for first in range(ZERO, n_steps, piece):
            last = min(first + piece, n_steps)
            _advance_lane(
                network, scratch, raster, lane, step, first, last, offsets, indices, result,
                watched,
            )  # fmt: skip
    return OK


@part
def _advance_lane(
    network: Network, scratch: Scratch, raster: Bytes, lane: Size, step: Size, first: Size,
    last: Size, offsets: Integers, indices: Integers, result: Bytes, watched: Watched,
) -> None:  # fmt: skip
    """Every layer of a lane over steps first to last of the chunk, which begins at ``step``."""
    plan, n_lanes = network.plan, unsigned(len(network.keys))
    n_layers, n_rows = unsigned(len(plan)), last - first
    n_chunk = unsigned(len(offsets) - 1) // n_lanes
    starts, ends, active = (
        offsets[first * n_lanes + lane :],
        offsets[first * n_lanes + lane + ONE :],
        indices,
    )
    every, written = n_lanes, ZERO
    for layer in range(n_layers):
        row, is_readout = plan[layer], layer == n_layers - ONE
        n_neurons, n_padded = row[N_NEURONS], row[N_PADDED]
        target, width = raster, n_padded
        if is_readout:
            target, width = result[(first * n_lanes + lane) * n_neurons :], n_lanes * n_neurons
        n_together = n_padded
        if row[CONNECTION] != CONVOLUTION and n_rows >= FEW_STEPS:
            n_together = GROUP
        for low in range(ZERO, n_padded, n_together):
            high = min(low + n_together, n_padded)
            _advance_neurons(
                network, scratch, row, lane, low, high, step + first, n_rows,
                starts, ends, every, active, is_readout, target, width,
                watched, written + (first * n_lanes + lane) * n_neurons,
            )  # fmt: skip
        written += n_chunk * n_lanes * n_neurons
        if not is_readout:
            side = layer % TWO
            starts, ends, every = scratch.starts[side], scratch.ends[side], ONE
            active = scratch.indices[side]
            _list_rows(raster, n_rows, n_padded, starts, ends, active)


@part
def _advance_neurons(
    network: Network,
    scratch: Scratch,
    row: Plan,
    lane: Size,
    low: Size,
    high: Size,
    step: Size,
    n_rows: Size,
    starts: Integers,
    ends: Integers,
    every: Size,
    active: Integers,
    is_readout: bool,
    target: Bytes,
    width: Size,
    watched: Watched,
    written: Size,
) -> None:
    """Neurons low to high of one layer and lane over the ``n_rows`` steps from ``step`` on.

    Their lists of active inputs begin and end at every so-manieth of ``starts`` and ``ends``.
    ``target`` takes their spikes, rows of ``width``: a readout's under the neurons' own numbers,
    others' as they lie. What is watched begins at ``written``.
    """
    n_lanes, n_padded = unsigned(len(network.keys)), row[N_PADDED]
    response, feedback = layer_filters(row, lane)
    memory, potentials = network.memory, row[POTENTIALS] + lane * n_padded
    n_numbers = min(high, row[N_NEURONS]) - low  # the others only fill up a vector
    turn, feedback_turn = step % response.tau, step % feedback.tau
    for index in range(n_rows):
        start, end = starts[index * every], ends[index * every]
        current = response.history + turn * response.n_basis * n_padded
        before = feedback.history + feedback_turn * n_padded
        spikes = feedback.history + wrapped(feedback_turn + ONE, feedback.tau) * n_padded
        _fill_currents(network, row, low, high, active, start, end, current)
        if row[NEURON] == HARD_RESET:
            _leak_and_reset(network, row, low, high, current, potentials, before)
        else:
            _integrate(network, row, low, high, turn, feedback_turn, response, feedback, potentials)
        _fire(network, scratch, row, lane, low, high, step + index, potentials, spikes)
        place = index * width
        if is_readout:
            _write_spikes(memory, spikes, row, low, n_numbers, network.orders, target, place)
        else:
            _copy_as_bytes(memory, memory, target, (spikes + low, place + low), (), high - low)
        if len(watched.spikes):
            place = written + index * n_lanes * row[N_NEURONS]
            _write_spikes(
                memory, spikes, row, low, n_numbers, network.orders, watched.spikes, place
            )
            _write_potentials(
                memory, potentials, row, low, n_numbers, network.orders, watched.potentials, place
            )
        turn = wrapped(turn + ONE, response.tau)
        feedback_turn = wrapped(feedback_turn + ONE, feedback.tau)


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


@part
def fill_current(
    network: Network, row: Plan, active: Integers, start: int, end: int, current: Size
) -> None:
    """Postsynaptic currents of one step, (n_basis, n_padded)."""
    _fill_currents(network, row, ZERO, row[N_PADDED], active, start, end, current)


@inlined
def _fill_currents(
    network: Network, row: Plan, low: Size, high: Size, active: Integers, start: int, end: int,
    current: Size,
) -> None:  # fmt: skip
    n_basis, n_padded = row[N_BASIS], row[N_PADDED]
    constants, memory = network.constants, network.memory
    if row[CONNECTION] == CONVOLUTION:
        geometry = row[GEOMETRY:]
        channels = row[N_NEURONS] // (geometry[OUT_HEIGHT] * geometry[OUT_WIDTH])
        scatter_kernels(
            constants, row[WEIGHTS], n_basis, n_padded, channels, geometry,
            active, start, end, memory, current,
        )  # fmt: skip
        return
    for basis in range(n_basis):
        shift, stride, scales = basis * n_padded + low, n_basis * n_padded, ZERO
        target, width = current + shift, high - low
        if row[CONNECTION] == DENSE_BF16:
            first = row[WEIGHTS] * BF16_IN_FLOAT32 + shift
            sum_bf16_rows(
                constants, first, stride, scales, active, start, end, memory, target, width
            )
        elif row[CONNECTION] == DENSE_INT8:
            first, scales = row[WEIGHTS] * INT8_IN_FLOAT32 + shift, row[SCALES] + shift
            sum_int8_rows(
                constants, first, stride, scales, active, start, end, memory, target, width
            )
        else:
            first = row[WEIGHTS] + shift
            sum_rows(constants, first, stride, scales, active, start, end, memory, target, width)


@part
def integrate(
    network: Network, row: Plan, step: Size, response: Filter, feedback: Filter, potentials: Size
) -> None:
    """U = (alpha * I) + w_fb (beta * z) + bias of one step."""
    turn, feedback_turn = step % response.tau, step % feedback.tau
    _integrate(
        network, row, ZERO, row[N_PADDED], turn, feedback_turn, response, feedback, potentials
    )


@inlined
def _integrate(
    network: Network, row: Plan, low: Size, high: Size, turn: Size, feedback_turn: Size,
    response: Filter, feedback: Filter, potentials: Size,
) -> None:  # fmt: skip
    constants, memory = network.constants, network.memory
    weights, bias = row[FEEDBACK_WEIGHTS], row[BIAS]
    if response.n_terms == ONE and feedback.n_terms == ONE:
        integrate_exponentials(
            low, high, turn, feedback_turn, response, feedback, constants, weights, bias,
            memory, potentials,
        )  # fmt: skip
        return
    for i in range(low, high):
        memory[potentials + i] = 0
    respond(low, high, feedback_turn, feedback, constants, memory, potentials)
    for i in range(low, high):
        memory[potentials + i] = (
            constants[weights + i] * memory[potentials + i] + constants[bias + i]
        )
    respond(low, high, turn, response, constants, memory, potentials)


@inlined
def _leak_and_reset(
    network: Network, row: Plan, low: Size, high: Size, current: Size, potentials: Size,
    before: Size,
) -> None:  # fmt: skip
    """V - V_th of leaky integrate-and-fire neurons that go back to zero when they spike."""
    constants, memory, bias = network.constants, network.memory, row[BIAS]
    decay, threshold = constants[row[FEEDBACK_KERNELS]], constants[row[FEEDBACK_KERNELS] + ONE]
    for i in range(low, high):
        keep = decay - decay * memory[before + i]
        kept = (memory[potentials + i] + threshold) * keep
        memory[potentials + i] = kept + memory[current + i] + (constants[bias + i] - threshold)


@part
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
    _fire(network, scratch, row, lane, ZERO, row[N_PADDED], step, potentials, spikes)


@inlined
def _fire(
    network: Network, scratch: Scratch, row: Plan, lane: Size, low: Size, high: Size, step: Size,
    potentials: Size, spikes: Size,
) -> None:  # fmt: skip
    memory = network.memory
    if row[NEURON] != STOCHASTIC:
        _fire_over_threshold(
            memory, memory, memory, (potentials + low, spikes + low), (), high - low
        )
        return
    key = network.keys[lane]
    if row[CONNECTION] == CONVOLUTION:
        fill_draws_in_order(key, step, row[N_NEURONS], network.orders, row[ORDER], scratch.draws)
    else:
        fill_draws(key, step, low, high - low, scratch.draws)
    fire_at_random(scratch.draws, high - low, memory, potentials + low, spikes + low)


def _over_threshold(at: Places) -> None:
    at.write(1, at.read(0).is_not_negative())


def _as_bytes(at: Places) -> None:
    at.write_bytes(1, at.read(0))


_fire_over_threshold = vector_kernel(_over_threshold, "mm")
_copy_as_bytes = vector_kernel(_as_bytes, "mt")


@inlined
def _write_spikes(
    memory: Floats, spikes: Size, row: Plan, low: Size, n_numbers: Size, orders: Integers,
    target: Bytes, place: Size,
) -> None:  # fmt: skip
    """Copy the spikes of a step, each to the neuron's own number."""
    if row[CONNECTION] == CONVOLUTION:
        for i in range(n_numbers):
            target[place + unsigned(orders[row[ORDER] + i])] = memory[spikes + i] > 0
        return
    whole = n_numbers // VECTOR * VECTOR
    _copy_as_bytes(memory, memory, target, (spikes + low, place + low), (), whole)
    for i in range(low + whole, low + n_numbers):
        target[place + i] = memory[spikes + i] > 0


@inlined
def _write_potentials(
    memory: Floats, potentials: Size, row: Plan, low: Size, n_numbers: Size, orders: Integers,
    target: Floats, place: Size,
) -> None:  # fmt: skip
    """Copy the potentials of a step, each to the neuron's own number."""
    if row[CONNECTION] == CONVOLUTION:
        for i in range(n_numbers):
            target[place + unsigned(orders[row[ORDER] + i])] = memory[potentials + i]
    else:
        for i in range(low, low + n_numbers):
            target[place + i] = memory[potentials + i]


@part
def _list_rows(
    raster: Bytes, n_rows: Size, width: Size, starts: Integers, ends: Integers, indices: Integers
) -> None:
    """Lists of the neurons that spike in every row, found eight words of eight bytes at a time.

    A product moves the lowest bits of a word's bytes side by side into its highest byte.
    """
    cursor = ZERO
    for entry in range(n_rows):
        starts[entry] = cursor
        for low in range(ZERO, width, GROUP):
            bits = ZERO
            for shift in range(ZERO, min(GROUP, width - low), WORD):
                word = eight_bytes(raster, entry * width + low + shift)
                bits |= ((word * SIDE_BY_SIDE) >> HIGHEST_BYTE) << shift
            while bits:
                indices[cursor] = low + trailing_zeros(bits)
                cursor += ONE
                bits &= bits - ONE
        ends[entry] = cursor


@part
def list_spikes(
    memory: Floats, spikes: Size, n_neurons: Size, indices: Integers, side: int, cursor: Size
) -> Size:
    """Append the numbers of the neurons that spike to a list; its new end.

    Eight silent neurons are passed over at once.
    """
    for low in range(ZERO, n_neurons, WORD):
        total = memory[spikes + low]
        for i in range(ONE, WORD):
            total += memory[spikes + low + i]
        if total > 0:
            for i in range(low, min(low + WORD, n_neurons)):
                indices[side, cursor] = i
                cursor += unsigned(memory[spikes + i] > 0)
    return cursor
