"""The encoder's step as compiled loops over a whole chunk of steps, layer by layer.

Layers do not feed back into earlier ones, nor neurons of a layer into each other: so a layer runs
through many steps before the next begins, and in a dense layer a group of neurons does so before
the next group. The group's weights stay in the second-level cache, its rings in the first. Spikes
pass from layer to layer in scratch arrays of bounded size; a long chunk is cut into pieces that
fit them.
"""

from __future__ import annotations

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
    part,
    unsigned,
)
from streamvdib.backends.numba_exponentials import advance_exponentials, is_exponential
from streamvdib.backends.numba_filters import GROUP, wrapped
from streamvdib.backends.numba_neurons import (
    Network,
    Scratch,
    Watched,
    fill_currents,
    fire,
    integrate,
    layer_filters,
    leak_and_reset,
)
from streamvdib.backends.numba_plan import (
    CONNECTION,
    CONVOLUTION,
    HARD_RESET,
    N_INPUTS,
    N_NEURONS,
    N_PADDED,
    NEURON,
    POTENTIALS,
    Plan,
)
from streamvdib.backends.numba_spikes import (
    copy_as_bits,
    end_bits,
    list_rows,
    write_potentials,
    write_spikes,
)

OK, BAD_INDEX = 0, -1
FEW_STEPS = unsigned(4)  # below, lanes share what is in the cache, and not the steps of a group
TWO, EIGHT = unsigned(2), unsigned(8)


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
    step: int,
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
    readout = result.reshape(-1)
    return _advance(network, scratch, raster, unsigned(step), offsets, indices, readout, watched)


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
        raster: takes the spikes of a hidden layer, a bit each: rows of whole words of 64.
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
    room = unsigned(scratch.starts.shape[1])
    piece = max(min(room, n_steps), ONE)
    lanes_together = ONE if piece >= FEW_STEPS else room // piece
    for lane in range(ZERO, unsigned(n_lanes), lanes_together):
        last_lane = min(lane + lanes_together, unsigned(n_lanes))
        for first in range(ZERO, n_steps, piece):
            last = min(first + piece, n_steps)
            _advance_lanes(
                network, scratch, raster, lane, last_lane, step, first, last, offsets, indices,
                result, watched,
            )  # fmt: skip
    return OK


@part
def _advance_lanes(
    network: Network, scratch: Scratch, raster: Bytes, lane: Size, last_lane: Size, step: Size,
    first: Size, last: Size, offsets: Integers, indices: Integers, result: Bytes, watched: Watched,
) -> None:  # fmt: skip
    """Every layer of some lanes over steps first to last of the chunk, which begins at ``step``.

    Where the steps are few, many lanes share the weights of a layer while those are in the cache.
    """
    plan, n_lanes = network.plan, unsigned(len(network.keys))
    n_layers, n_rows = unsigned(len(plan)), last - first
    n_chunk = unsigned(len(offsets) - 1) // n_lanes
    written = ZERO
    for layer in range(n_layers):
        row, is_readout = plan[layer], layer == n_layers - ONE
        n_neurons, width = row[N_NEURONS], (row[N_PADDED] + GROUP - ONE) // GROUP * EIGHT
        for one in range(lane, last_lane):
            place, entry = (first * n_lanes + one) * n_neurons, (one - lane) * n_rows
            if layer == ZERO:
                list_place, every, active = first * n_lanes + one, n_lanes, indices
                starts, ends = offsets[list_place:], offsets[list_place + ONE :]
            else:
                side, every = (layer - ONE) % TWO, ONE
                active = scratch.indices[side]
                starts, ends = scratch.starts[side, entry:], scratch.ends[side, entry:]
            if is_readout:
                target, row_width = result[place:], n_lanes * n_neurons
            else:
                target, row_width = raster[entry * width :], width
            _advance_layer(
                network, scratch, row, one, step + first, n_rows, starts, ends, every, active,
                is_readout, target, row_width, watched, written + place,
            )  # fmt: skip
        written += n_chunk * n_lanes * n_neurons
        if not is_readout:
            side, n_lists = layer % TWO, (last_lane - lane) * n_rows
            list_rows(
                raster, n_lists, width * EIGHT, scratch.starts[side], scratch.ends[side],
                scratch.indices[side],
            )  # fmt: skip


@part
def _advance_layer(
    network: Network, scratch: Scratch, row: Plan, lane: Size, step: Size, n_rows: Size,
    starts: Integers, ends: Integers, every: Size, active: Integers, is_readout: bool,
    target: Bytes, width: Size, watched: Watched, written: Size,
) -> None:  # fmt: skip
    """One layer and lane over the ``n_rows`` steps from ``step`` on; see ``_advance_neurons``."""
    n_padded = row[N_PADDED]
    by_groups = n_rows >= FEW_STEPS and row[CONNECTION] != CONVOLUTION
    n_together = GROUP if by_groups else n_padded
    for low in range(ZERO, n_padded, n_together):
        high = min(low + n_together, n_padded)
        if by_groups and is_exponential(row):
            advance_exponentials(
                network, scratch, row, lane, low, high, step, n_rows,
                starts, ends, every, active, is_readout, target, width, watched, written,
            )  # fmt: skip
        else:
            _advance_neurons(
                network, scratch, row, lane, low, high, step, n_rows,
                starts, ends, every, active, is_readout, target, width, watched, written,
            )  # fmt: skip


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
    ``target`` takes their spikes, rows of ``width`` bytes: a readout's under the neurons' own
    numbers, a byte each, others' as they lie, a bit each. What is watched begins at ``written``.
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
        fill_currents(network, row, low, high, active, start, end, current)
        if row[NEURON] == HARD_RESET:
            leak_and_reset(network, row, low, high, current, potentials, before)
        else:
            integrate(network, row, low, high, turn, feedback_turn, response, feedback, potentials)
        fire(network, scratch, row, lane, low, high, step + index, potentials, spikes)
        place = index * width
        if is_readout:
            write_spikes(memory, spikes, row, low, n_numbers, network.orders, target, place)
        else:
            bits, count = place + low // EIGHT, high - low
            copy_as_bits(memory, memory, target, (spikes + low, bits), (), count)
            end_bits(target, bits, count)
        if len(watched.spikes):
            place = written + index * n_lanes * row[N_NEURONS]
            write_spikes(memory, spikes, row, low, n_numbers, network.orders, watched.spikes, place)
            write_potentials(
                memory, potentials, row, low, n_numbers, network.orders, watched.potentials, place
            )
        turn = wrapped(turn + ONE, response.tau)
        feedback_turn = wrapped(feedback_turn + ONE, feedback.tau)
