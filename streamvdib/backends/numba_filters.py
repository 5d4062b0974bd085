"""Finite responses over the last tau_e steps, compiled; exactly zero beyond them.

Exponential responses run as a sliding window without subtraction. Time is cut into blocks of
tau_e steps; at offset o of a block the last tau_e inputs J are the block's first o + 1 and the
last tau_e - 1 - o of the block before:

    sum_{d < tau_e} a^d J_{t-d} = R_o + a^(o+1) T_{o+1}
    R_o = a R_{o-1} + J_t,  R = 0 before the block          T_p = a^(tau_e-1-p) J_p + T_{p+1}

T is computed backwards once per block. Blocks begin at different steps for different groups of
neurons, so no step does much more than another, and groups go through time one by one: the rings
of one stay in the first cache. Nothing is ever taken away from a sum, so there
is no drift, and R and T can be rebuilt from the last tau_e inputs bit for bit.

Other responses are spread forward: an input adds its whole response to a ring of the next tau_e
potentials, and each potential is cleared when its step has come.

Everything lies in one flat memory; arguments say where. Rings hold step t in row t % tau_e.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from streamvdib.backends.compilation import (
    ONE,
    ZERO,
    Floats,
    Size,
    forced,
    inlined,
    part,
    unsigned,
)
from streamvdib.backends.numba_suffixes import sum_suffixes_of_group, sum_suffixes_of_vector
from streamvdib.backends.numba_vectors import WIDTH, Places, Vector, vector_kernel

VECTOR = unsigned(WIDTH)
GROUP = unsigned(64)  # neurons that are advanced together: blocks of each group begin together


class Filter(NamedTuple):
    """One response of one layer and lane: constants, and where its memory lies."""

    tau: Size
    n_neurons: Size
    n_basis: Size
    n_terms: Size  # exponentials; 0 where the response is spread forward
    kernels: Size  # in the constants: (n_basis, tau)
    terms: Size  # coefficient and decay of every exponential, (n_terms, 2)
    powers: Size  # decay^0 to decay^tau, (n_terms, tau + 1)
    history: Size  # in the memory: inputs J, (tau, n_basis, n_neurons)
    sums: Size  # R, (n_terms, n_neurons)
    suffixes: Size  # T, (n_terms, tau, n_neurons), or future potentials (tau, n_neurons)


@part
def respond(
    low: Size, high: Size, turn: Size, response: Filter, constants: Floats, memory: Floats,
    result: Size,
) -> None:  # fmt: skip
    """Add the response to the inputs up to a step, whose own is in the history, to the result.

    Args:
        low: first neuron, the first of a group.
        high: one past the last neuron, the last of a group.
        turn: the step's row of the history, step % tau.
        response: what to respond with.
        constants: hold its numbers.
        memory: changes.
        result: where the potentials of all neurons begin in ``memory``.
    """
    if response.n_terms == 0:
        _spread(low, high, turn, ZERO, response, constants, memory)
        _consume(low, high, turn, response, memory, result)
        return
    for term in range(response.n_terms):
        _slide(low, high, turn, term, response, constants, memory, result)


@part
def _slide(
    low: Size, high: Size, turn: Size, term: Size, response: Filter, constants: Floats,
    memory: Floats, result: Size,
) -> None:  # fmt: skip
    """One exponential of every neuron; T_{tau_e} is row 0, which is always zero."""
    coefficient = constants[response.terms + term + term]
    decay = constants[response.terms + term + term + ONE]
    for first in range(low, high, GROUP):
        count = min(GROUP, high - first)
        power, sums, source, suffix = _open_step(
            turn, term, first, count, response, constants, memory
        )
        target = result + first
        for i in range(count):
            total = decay * memory[sums + i] + memory[source + i]
            memory[sums + i] = total
            memory[target + i] += coefficient * (total + power * memory[suffix + i])


@forced
def integrate_exponentials(
    low: Size,
    high: Size,
    turn: Size,
    feedback_turn: Size,
    response: Filter,
    feedback: Filter,
    constants: Floats,
    weights: Size,
    bias: Size,
    memory: Floats,
    result: Size,
) -> None:
    """U = w_fb (feedback) + bias + response, both of one exponential, in one pass over the neurons.

    The same operations in the same order as ``respond`` twice, without the stores between.
    """
    coefficient, decay = constants[response.terms], constants[response.terms + ONE]
    coefficient_2, decay_2 = constants[feedback.terms], constants[feedback.terms + ONE]
    for first in range(low, high, GROUP):
        count = min(GROUP, high - first)
        power, sums, source, suffix = _open_step(
            turn, ZERO, first, count, response, constants, memory
        )
        power_2, sums_2, source_2, suffix_2 = _open_step(
            feedback_turn, ZERO, first, count, feedback, constants, memory
        )
        add_exponentials(
            memory, constants, constants,
            (sums, source, suffix, sums_2, source_2, suffix_2, weights + first, bias + first,
             result + first),
            (decay, coefficient, power, decay_2, coefficient_2, power_2),
            count,
        )  # fmt: skip


def exponentials(at: Places) -> Vector:
    """Both sums, and the potential: places and scalars in the order of the call above."""
    sums, source, suffix, sums_2, source_2, suffix_2, weight, bias, result = range(9)
    decay, coefficient, power, decay_2, coefficient_2, power_2 = map(at.scalar, range(6))
    total = decay * at.read(sums) + at.read(source)
    total_2 = decay_2 * at.read(sums_2) + at.read(source_2)
    fed_back = coefficient_2 * (total_2 + power_2 * at.read(suffix_2))
    potential = at.read(weight) * fed_back + at.read(bias)
    potential = potential + coefficient * (total + power * at.read(suffix))
    at.write(sums, total)
    at.write(sums_2, total_2)
    at.write(result, potential)
    return potential


add_exponentials = vector_kernel(exponentials, "mmmmmmccm")


@forced
def _open_step(
    turn: Size,
    term: Size,
    first: Size,
    count: Size,
    response: Filter,
    constants: Floats,
    memory: Floats,
) -> tuple[Any, Size, Size, Size]:
    """Close a group's block of an exponential if it is over.

    Returns:
        a^(o+1), and where the group's R_o, J_t and T_{o+1} begin.
    """
    tau, n_neurons = response.tau, response.n_neurons
    offset = wrapped(turn + first // GROUP, tau)
    sums = response.sums + term * n_neurons + first
    if offset == 0:
        open_block(turn, term, first, count, response, constants, memory)
    source = response.history + turn * n_neurons + first
    row = term * tau + wrapped(offset + ONE, tau)
    suffix = response.suffixes + row * n_neurons + first
    power = constants[response.powers + term * (tau + ONE) + offset + ONE]
    return power, sums, source, suffix


@part
def open_block(
    turn: Size, term: Size, first: Size, count: Size, response: Filter, constants: Floats,
    memory: Floats,
) -> None:  # fmt: skip
    """Close the block before the step of row ``turn``, of one exponential, and begin anew."""
    _close_block(turn, term, ONE, first, count, response, constants, memory)
    sums = response.sums + term * response.n_neurons + first
    for i in range(count):
        memory[sums + i] = 0


@inlined
def following(place: Size, tau: Size) -> Any:
    """The next place of a ring."""
    place += ONE
    return ZERO if place == tau else place


@inlined
def wrapped(place: Size, tau: Size) -> Any:
    """Remainder of a place by tau, without a division where the place is below 2 tau."""
    if place >= tau:
        place -= tau
        if place >= tau:
            place %= tau
    return place


@part
def _close_block(
    turn: Size,
    term: Size,
    last: Size,
    first: Size,
    count: Size,
    response: Filter,
    constants: Floats,
    memory: Floats,
) -> None:
    """T_p of the block of tau steps before the one of row ``turn``, for p from tau - 1 to ``last``.

    The block's step p lies in row turn + p; T_0 to T_{last-1} stay as they are, T_tau is zero.
    """
    tau, n_neurons = response.tau, response.n_neurons
    powers = response.powers + term * (tau + ONE)
    history, suffixes = response.history, response.suffixes + term * tau * n_neurons
    done = ZERO
    while done + GROUP <= count:
        sum_suffixes_of_group(
            memory, constants, powers, history + first + done, suffixes + first + done,
            turn, last, tau, n_neurons,
        )  # fmt: skip
        done += GROUP
    while done < count:
        sum_suffixes_of_vector(
            memory, constants, powers, history + first + done, suffixes + first + done,
            turn, last, tau, n_neurons,
        )  # fmt: skip
        done += VECTOR


@part
def _spread(
    low: Size, high: Size, turn: Size, passed: Size, response: Filter, constants: Floats,
    memory: Floats,
) -> None:  # fmt: skip
    """Add the response to the inputs in row ``turn`` to the potentials from ``passed`` later on."""
    tau, n_neurons, n_basis = response.tau, response.n_neurons, response.n_basis
    inputs = response.history + turn * n_basis * n_neurons
    for lag in range(passed, tau):
        target = response.suffixes + wrapped(turn + lag, tau) * n_neurons
        for basis in range(n_basis):
            weight = constants[response.kernels + basis * tau + lag]
            source = inputs + basis * n_neurons
            for i in range(low, high):
                memory[target + i] += weight * memory[source + i]


@part
def _consume(
    low: Size, high: Size, turn: Size, response: Filter, memory: Floats, result: Size
) -> None:
    """Add the potentials of a step to the result, and clear them."""
    row = response.suffixes + turn * response.n_neurons
    for i in range(low, high):
        memory[result + i] += memory[row + i]
        memory[row + i] = 0


@part
def rebuild(step: Size, response: Filter, constants: Floats, memory: Floats) -> None:
    """Sums before ``step`` from the history of the steps before it, by the same operations."""
    tau, n_neurons = response.tau, response.n_neurons
    turn = step % tau
    if response.n_terms == 0:
        for i in range(tau * n_neurons):
            memory[response.suffixes + i] = 0
        for back in range(ONE, tau):
            past = tau - back
            _spread(
                ZERO, n_neurons, wrapped(turn + tau - past, tau), past, response, constants, memory
            )
        return
    for i in range(response.n_terms * n_neurons):
        memory[response.sums + i] = 0
    for i in range(response.n_terms * tau * n_neurons):
        memory[response.suffixes + i] = 0
    for term in range(response.n_terms):
        for first in range(ZERO, n_neurons, GROUP):
            _rebuild_group(turn, term, first, response, constants, memory)


@part
def _rebuild_group(
    turn: Size, term: Size, first: Size, response: Filter, constants: Floats, memory: Floats
) -> None:
    tau, n_neurons = response.tau, response.n_neurons
    count = min(GROUP, n_neurons - first)
    offset = wrapped(turn + first // GROUP, tau)
    if offset == 0:
        return  # the step itself closes the block
    start = wrapped(turn + tau - offset, tau)  # row in which the block began
    _close_block(start, term, offset + ONE, first, count, response, constants, memory)
    decay = constants[response.terms + term + term + ONE]
    sums = response.sums + term * n_neurons + first
    for past in range(offset):
        row = response.history + wrapped(start + past, tau) * n_neurons + first
        for i in range(count):
            memory[sums + i] = decay * memory[sums + i] + memory[row + i]
