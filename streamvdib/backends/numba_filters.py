"""Finite responses over the last tau_e steps, compiled; exactly zero beyond them.

Exponential responses run as a sliding window without subtraction. Time is cut into blocks of
tau_e steps; at offset o of a block the last tau_e inputs J are the block's first o + 1 and the
last tau_e - 1 - o of the block before:

    sum_{d < tau_e} a^d J_{t-d} = R_o + a^(o+1) T_{o+1}
    R_o = a R_{o-1} + J_t,  R = 0 before the block          T_p = a^(tau_e-1-p) J_p + T_{p+1}

T is computed backwards once per block. Blocks begin at different steps for different groups of
neurons, so no step does much more than another. Nothing is ever taken away from a sum, so there
is no drift, and R and T can be rebuilt from the last tau_e inputs bit for bit.

Other responses are spread forward: an input adds its whole response to a ring of the next tau_e
potentials, and each potential is cleared when its step has come.

Everything lies in one flat memory; arguments say where. Rings hold step t in row t % tau_e.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from streamvdib.backends.compilation import ONE, ZERO, Floats, Size, part, unsigned

GROUP = unsigned(256)  # neurons whose blocks begin together


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
def respond(step: Size, response: Filter, constants: Floats, memory: Floats, result: Size) -> None:
    """Add to the result the response to the inputs up to ``step``, whose own is in the history."""
    if response.n_terms == 0:
        _spread(step, step, response, constants, memory)
        _consume(step, response, memory, result)
        return
    for term in range(response.n_terms):
        _slide(step, term, response, constants, memory, result)


@part
def _slide(
    step: Size, term: Size, response: Filter, constants: Floats, memory: Floats, result: Size
) -> None:
    """One exponential of every neuron; T_{tau_e} is row 0, which is always zero."""
    tau, n_neurons = response.tau, response.n_neurons
    coefficient = constants[response.terms + term + term]
    decay = constants[response.terms + term + term + ONE]
    powers = response.powers + term * (tau + ONE)
    inputs = response.history + (step % tau) * n_neurons
    for group in range((n_neurons + GROUP - ONE) // GROUP):
        low = group * GROUP
        count = min(GROUP, n_neurons - low)
        offset = (step + group) % tau
        sums = response.sums + term * n_neurons + low
        if offset == 0:
            _close_block(step, term, ONE, low, count, response, constants, memory)
            for i in range(count):
                memory[sums + i] = 0
        row = term * tau + (offset + ONE) % tau
        suffix = response.suffixes + row * n_neurons + low
        power, source, target = constants[powers + offset + ONE], inputs + low, result + low
        for i in range(count):
            total = decay * memory[sums + i] + memory[source + i]
            memory[sums + i] = total
            memory[target + i] += coefficient * (total + power * memory[suffix + i])


@part
def integrate_exponentials(
    step: Size,
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
    n_neurons = response.n_neurons
    coefficient, decay = constants[response.terms], constants[response.terms + ONE]
    coefficient_2, decay_2 = constants[feedback.terms], constants[feedback.terms + ONE]
    for group in range((n_neurons + GROUP - ONE) // GROUP):
        low = group * GROUP
        count = min(GROUP, n_neurons - low)
        power, sums, source, suffix = _open_step(
            step, group, low, count, response, constants, memory
        )
        power_2, sums_2, source_2, suffix_2 = _open_step(
            step, group, low, count, feedback, constants, memory
        )
        target, weight, offset = result + low, weights + low, bias + low
        for i in range(count):
            total = decay * memory[sums + i] + memory[source + i]
            total_2 = decay_2 * memory[sums_2 + i] + memory[source_2 + i]
            memory[sums + i] = total
            memory[sums_2 + i] = total_2
            fed_back = coefficient_2 * (total_2 + power_2 * memory[suffix_2 + i])
            potential = constants[weight + i] * fed_back + constants[offset + i]
            memory[target + i] = potential + coefficient * (total + power * memory[suffix + i])


@part
def _open_step(
    step: Size,
    group: Size,
    low: Size,
    count: Size,
    response: Filter,
    constants: Floats,
    memory: Floats,
) -> tuple[Any, Size, Size, Size]:
    """Close a group's block of the first exponential if it is over.

    Returns:
        a^(o+1), and where the group's R_o, J_t and T_{o+1} begin.
    """
    tau, n_neurons = response.tau, response.n_neurons
    offset = (step + group) % tau
    sums = response.sums + low
    if offset == 0:
        _close_block(step, ZERO, ONE, low, count, response, constants, memory)
        for i in range(count):
            memory[sums + i] = 0
    source = response.history + (step % tau) * n_neurons + low
    suffix = response.suffixes + (offset + ONE) % tau * n_neurons + low
    return constants[response.powers + offset + ONE], sums, source, suffix


@part
def _close_block(
    step: Size,
    term: Size,
    last: Size,
    low: Size,
    count: Size,
    response: Filter,
    constants: Floats,
    memory: Floats,
) -> None:
    """T_p of the block of tau steps before ``step``, for p from tau - 1 down to ``last``."""
    tau, n_neurons = response.tau, response.n_neurons
    first = response.suffixes + term * tau * n_neurons + low
    for back in range(tau - last):
        p = tau - ONE - back
        power = constants[response.powers + term * (tau + ONE) + back]
        source = response.history + ((step + p) % tau) * n_neurons + low
        later, target = first + ((p + ONE) % tau) * n_neurons, first + p * n_neurons
        for i in range(count):
            memory[target + i] = power * memory[source + i] + memory[later + i]


@part
def _spread(past: Size, first: Size, response: Filter, constants: Floats, memory: Floats) -> None:
    """Add the response to the inputs of step ``past`` to the potentials from ``first`` on."""
    tau, n_neurons, n_basis = response.tau, response.n_neurons, response.n_basis
    inputs = response.history + (past % tau) * n_basis * n_neurons
    for lag in range(first - past, tau):
        target = response.suffixes + ((past + lag) % tau) * n_neurons
        for basis in range(n_basis):
            weight = constants[response.kernels + basis * tau + lag]
            source = inputs + basis * n_neurons
            for i in range(n_neurons):
                memory[target + i] += weight * memory[source + i]


@part
def _consume(step: Size, response: Filter, memory: Floats, result: Size) -> None:
    """Add the potentials of a step to the result, and clear them."""
    row = response.suffixes + (step % response.tau) * response.n_neurons
    for i in range(response.n_neurons):
        memory[result + i] += memory[row + i]
        memory[row + i] = 0


@part
def rebuild(step: Size, response: Filter, constants: Floats, memory: Floats) -> None:
    """Sums before ``step`` from the history of the steps before it, by the same operations."""
    tau, n_neurons = response.tau, response.n_neurons
    if response.n_terms == 0:
        for i in range(tau * n_neurons):
            memory[response.suffixes + i] = 0
        for past in range(step + ONE, step + tau):  # tau later than they were: never below 0
            _spread(past, step + tau, response, constants, memory)
        return
    for i in range(response.n_terms * n_neurons):
        memory[response.sums + i] = 0
    for i in range(response.n_terms * tau * n_neurons):
        memory[response.suffixes + i] = 0
    for term in range(response.n_terms):
        for group in range((n_neurons + GROUP - ONE) // GROUP):
            _rebuild_group(step, term, group, response, constants, memory)


@part
def _rebuild_group(
    step: Size, term: Size, group: Size, response: Filter, constants: Floats, memory: Floats
) -> None:
    tau, n_neurons, low = response.tau, response.n_neurons, group * GROUP
    count = min(GROUP, n_neurons - low)
    offset = (step + group) % tau
    if offset == 0:
        return  # the step itself closes the block
    start = step + tau - offset  # of the block, tau later: never below 0
    _close_block(start, term, offset + ONE, low, count, response, constants, memory)
    decay = constants[response.terms + term + term + ONE]
    sums = response.sums + term * n_neurons + low
    for past in range(start, start + offset):
        row = response.history + (past % tau) * n_neurons + low
        for i in range(count):
            memory[sums + i] = decay * memory[sums + i] + memory[row + i]
