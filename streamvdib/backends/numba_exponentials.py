"""A group of neurons over many steps where both responses are one exponential: the usual layer.

The same operations as in ``numba_neurons``, for few neurons and many steps: what does not change
from step to step is looked up once, since a step takes no longer than summing a few weight rows.
"""

from __future__ import annotations

from typing import Any

from streamvdib.backends.compilation import (
    ONE,
    ZERO,
    Bytes,
    Integers,
    Size,
    inlined,
    part,
    unsigned,
)
from streamvdib.backends.numba_draws import fill_draws, fire_at_random
from streamvdib.backends.numba_filters import (
    GROUP,
    add_exponentials,
    exponentials,
    following,
    open_block,
)
from streamvdib.backends.numba_neurons import (
    Network,
    Scratch,
    Watched,
    fire_over_threshold,
    layer_filters,
    sum_weights,
)
from streamvdib.backends.numba_plan import (
    BIAS,
    CONNECTION,
    CONVOLUTION,
    FEEDBACK_N_TERMS,
    FEEDBACK_WEIGHTS,
    N_NEURONS,
    N_PADDED,
    N_TERMS,
    NEURON,
    POTENTIALS,
    SCALES,
    STOCHASTIC,
    WEIGHTS,
    Plan,
)
from streamvdib.backends.numba_spikes import (
    copy_as_bits,
    end_bits,
    write_potentials,
    write_spikes,
)
from streamvdib.backends.numba_vectors import Places, vector_kernel

BYTE = unsigned(8)  # bits


@inlined
def is_exponential(row: Plan) -> Any:
    """Whether a layer is dense and its responses are one exponential each."""
    are_exponential = row[N_TERMS] == ONE and row[FEEDBACK_N_TERMS] == ONE
    return row[CONNECTION] != CONVOLUTION and are_exponential


@part
def advance_exponentials(
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
    """``numba_encoder``'s ``_advance_neurons`` for one group of such a layer."""
    constants, memory, key = network.constants, network.memory, network.keys[lane]
    n_lanes, n_padded, count = unsigned(len(network.keys)), row[N_PADDED], high - low
    n_neurons, n_numbers = row[N_NEURONS], min(high, row[N_NEURONS]) - low
    is_stochastic, connection = row[NEURON] == STOCHASTIC, row[CONNECTION]
    synapses, scales = row[WEIGHTS], row[SCALES]
    response, feedback = layer_filters(row, lane)
    tau, tau_2 = response.tau, feedback.tau
    coefficient, decay = constants[response.terms], constants[response.terms + ONE]
    coefficient_2, decay_2 = constants[feedback.terms], constants[feedback.terms + ONE]
    powers, powers_2 = response.powers + ONE, feedback.powers + ONE
    history, sums, suffixes = response.history + low, response.sums + low, response.suffixes + low
    history_2, sums_2 = feedback.history + low, feedback.sums + low
    suffixes_2 = feedback.suffixes + low
    weights, bias = row[FEEDBACK_WEIGHTS] + low, row[BIAS] + low
    potentials = row[POTENTIALS] + lane * n_padded + low
    turn, turn_2 = step % tau, step % tau_2
    offset, offset_2 = (turn + low // GROUP) % tau, (turn_2 + low // GROUP) % tau_2
    for index in range(n_rows):
        start, end = starts[index * every], ends[index * every]
        current = history + turn * n_padded
        sum_weights(
            constants, connection, synapses, scales, low, n_padded, active, start, end,
            memory, current, count,
        )  # fmt: skip
        if offset == ZERO:
            open_block(turn, ZERO, low, count, response, constants, memory)
        if offset_2 == ZERO:
            open_block(turn_2, ZERO, low, count, feedback, constants, memory)
        next_turn, next_offset = following(turn, tau), following(offset, tau)
        next_turn_2, next_offset_2 = following(turn_2, tau_2), following(offset_2, tau_2)
        spikes, place = history_2 + next_turn_2 * n_padded, index * width
        bits = place + low // BYTE
        terms = (
            sums, current, suffixes + next_offset * n_padded,
            sums_2, history_2 + turn_2 * n_padded, suffixes_2 + next_offset_2 * n_padded,
            weights, bias, potentials,
        )  # fmt: skip
        factors = (
            decay, coefficient, constants[powers + offset],
            decay_2, coefficient_2, constants[powers_2 + offset_2],
        )  # fmt: skip
        if is_stochastic:
            fill_draws(key, step + index, low, count, scratch.draws)
            add_exponentials(memory, constants, constants, terms, factors, count)
            fire_at_random(scratch.draws, count, memory, potentials, spikes)
        elif is_readout:
            add_exponentials(memory, constants, constants, terms, factors, count)
            fire_over_threshold(memory, memory, memory, (potentials, spikes), (), count)
        else:
            _over_threshold(memory, constants, target, (*terms, spikes, bits), factors, count)
        if is_readout:
            write_spikes(memory, spikes - low, row, low, n_numbers, network.orders, target, place)
        else:
            if is_stochastic:
                copy_as_bits(memory, memory, target, (spikes, bits), (), count)
            end_bits(target, bits, count)
        if len(watched.spikes):
            place = written + index * n_lanes * n_neurons
            write_spikes(
                memory, spikes - low, row, low, n_numbers, network.orders, watched.spikes, place
            )
            write_potentials(
                memory, potentials - low, row, low, n_numbers, network.orders,
                watched.potentials, place,
            )  # fmt: skip
        turn, turn_2, offset, offset_2 = next_turn, next_turn_2, next_offset, next_offset_2


def _spikes_over_threshold(at: Places) -> None:
    spikes = exponentials(at).is_not_negative()
    at.write(9, spikes)
    at.write_bits(10, spikes)


_over_threshold = vector_kernel(_spikes_over_threshold, "mmmmmmccmmb")
