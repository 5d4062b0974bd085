"""A step of some neighbouring neurons of one layer and lane: currents, potentials, spikes."""

from __future__ import annotations

from typing import NamedTuple

from streamvdib.backends.compilation import (
    ONE,
    ZERO,
    Bytes,
    Floats,
    Integers,
    Keys,
    Size,
    inlined,
    part,
    unsigned,
)
from streamvdib.backends.numba_convolution import OUT_HEIGHT, OUT_WIDTH, scatter_kernels
from streamvdib.backends.numba_draws import fill_draws, fill_draws_in_order, fire_at_random
from streamvdib.backends.numba_filters import Filter, integrate_exponentials, respond
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
    KERNELS,
    N_BASIS,
    N_NEURONS,
    N_PADDED,
    N_TERMS,
    NEURON,
    ORDER,
    PAST_SPIKES,
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
from streamvdib.backends.numba_vectors import Places, vector_kernel

BF16_IN_FLOAT32, INT8_IN_FLOAT32 = unsigned(2), unsigned(4)


class Network(NamedTuple):
    """Plan, numbers and memory of an encoder (see ``numba_plan``)."""

    plan: Plan
    orders: Integers
    constants: Floats
    memory: Floats
    keys: Keys  # (n_lanes,)


class Scratch(NamedTuple):
    """Working arrays, kept from call to call."""

    draws: Floats  # (widest layer,)
    starts: Integers  # lists of a lane's spikes between layers, (2, n_rows)
    ends: Integers  # (2, n_rows)
    indices: Integers  # (2, n_rows * widest layer + ``ROOM``)


class Watched(NamedTuple):
    """Where to write what every layer did; arrays without elements where nobody watches."""

    spikes: Bytes  # layer after layer, each (n_steps, n_lanes, n_neurons)
    potentials: Floats


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
def fill_currents(
    network: Network, row: Plan, low: Size, high: Size, active: Integers, start: int, end: int,
    current: Size,
) -> None:  # fmt: skip
    """Postsynaptic currents of neurons low to high at one step, (n_basis, n_padded)."""
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
        sum_weights(
            constants, row[CONNECTION], row[WEIGHTS], row[SCALES], basis * n_padded + low,
            n_basis * n_padded, active, start, end, memory, current + basis * n_padded + low,
            high - low,
        )  # fmt: skip


@inlined
def sum_weights(
    constants: Floats, connection: Size, weights: Size, scales: Size, shift: Size, stride: Size,
    active: Integers, start: int, end: int, memory: Floats, target: Size, width: Size,
) -> None:  # fmt: skip
    """Rows of a dense layer's weights from ``shift`` on, summed into ``memory[target:]``."""
    if connection == DENSE_BF16:
        first = weights * BF16_IN_FLOAT32 + shift
        sum_bf16_rows(constants, first, stride, ZERO, active, start, end, memory, target, width)
    elif connection == DENSE_INT8:
        first, factors = weights * INT8_IN_FLOAT32 + shift, scales + shift
        sum_int8_rows(constants, first, stride, factors, active, start, end, memory, target, width)
    else:
        first = weights + shift
        sum_rows(constants, first, stride, ZERO, active, start, end, memory, target, width)


@inlined
def integrate(
    network: Network, row: Plan, low: Size, high: Size, turn: Size, feedback_turn: Size,
    response: Filter, feedback: Filter, potentials: Size,
) -> None:  # fmt: skip
    """U = (alpha * I) + w_fb (beta * z) + bias of neurons low to high at one step."""
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
def leak_and_reset(
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


@inlined
def fire(
    network: Network, scratch: Scratch, row: Plan, lane: Size, low: Size, high: Size, step: Size,
    potentials: Size, spikes: Size,
) -> None:  # fmt: skip
    """Spikes of neurons low to high at one step, from their potentials."""
    memory = network.memory
    if row[NEURON] != STOCHASTIC:
        fire_over_threshold(
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


fire_over_threshold = vector_kernel(_over_threshold, "mm")
