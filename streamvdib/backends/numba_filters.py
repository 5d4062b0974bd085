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
"""

from __future__ import annotations

from typing import Any

from streamvdib.backends.compilation import Floats, inlined, part

GROUP = 128  # neurons whose blocks begin together


@inlined
def block_offset(step: int, group: int, tau: int) -> Any:
    """Offset o within its block of a step, for a group of neurons."""
    return (step + group) % tau


@part
def clear(values: Floats) -> None:
    """All zeros; one dimension."""
    for i in range(values.shape[0]):
        values[i] = 0


@part
def slide(
    step: int,
    current: Any,
    history: Any,
    terms: Floats,
    powers: Floats,
    sums: Floats,
    suffixes: Floats,
    result: Floats,
) -> None:
    """Take in the input of a step, and add the response of the last tau_e inputs.

    Args:
        step: its number.
        current: J of this step, (n_neurons,).
        history: J of the last tau_e steps, row step % tau_e, before this step: (tau_e, n_neurons).
        terms: coefficient and decay of every exponential, (n_terms, 2).
        powers: decay^0 to decay^tau_e, (n_terms, tau_e + 1).
        sums: R, (n_terms, n_neurons).
        suffixes: T, (n_terms, tau_e, n_neurons).
        result: added to, (n_neurons,).
    """
    tau, n_neurons = history.shape
    for term in range(terms.shape[0]):
        for group in range((n_neurons + GROUP - 1) // GROUP):
            low, high = group * GROUP, min((group + 1) * GROUP, n_neurons)
            offset = block_offset(step, group, tau)
            if offset == 0:
                close_block(step, 1, history, powers[term], suffixes[term], low, high)
                clear(sums[term, low:high])
            window_sum(
                current[low:high],
                terms[term, 0],
                terms[term, 1],
                powers[term, offset + 1],
                sums[term, low:high],
                suffixes[term, (offset + 1) % tau, low:high],
                result[low:high],
            )


@part
def window_sum(
    current: Any,
    coefficient: Any,
    decay: Any,
    power: Any,
    sums: Floats,
    suffix: Floats,
    result: Floats,
) -> None:
    """One exponential of one group; T_{tau_e} is stored as row 0, which is always zero."""
    for i in range(result.shape[0]):
        total = decay * sums[i] + current[i]
        sums[i] = total
        result[i] += coefficient * (total + power * suffix[i])


@part
def close_block(
    step: int,
    last: int,
    history: Any,
    powers: Floats,
    suffixes: Floats,
    low: int,
    high: int,
) -> None:
    """T_p of the block of tau_e steps before ``step``, for p from tau_e - 1 down to ``last``."""
    tau = history.shape[0]
    for p in range(tau - 1, last - 1, -1):
        inputs = history[(step + p) % tau, low:high]
        later = suffixes[(p + 1) % tau, low:high]
        target = suffixes[p, low:high]
        power = powers[tau - 1 - p]
        for i in range(high - low):
            target[i] = power * inputs[i] + later[i]


@part
def spread_current(step: int, currents: Floats, kernels: Floats, future: Floats) -> None:
    """Add the responses of currents (n_basis, n) to the potentials of the next tau_e steps.

    Args:
        step: the step of the currents, and the first that they reach.
        currents: I, (n_basis, n_neurons).
        kernels: alpha, (n_basis, tau_e).
        future: ring, row step % tau_e, (tau_e, n_neurons).
    """
    n_basis, tau = kernels.shape
    for lag in range(tau):
        target = future[(step + lag) % tau]
        for basis in range(n_basis):
            weight = kernels[basis, lag]
            current = currents[basis]
            for i in range(target.shape[0]):
                target[i] += weight * current[i]


@part
def consume(step: int, future: Floats, result: Floats) -> None:
    """Add this step's row of a ring of future potentials to the result, and clear it."""
    row = future[step % future.shape[0]]
    for i in range(row.shape[0]):
        result[i] += row[i]
        row[i] = 0


@part
def rebuild_sliding(
    step: int,
    history: Any,
    terms: Floats,
    powers: Floats,
    sums: Floats,
    suffixes: Floats,
) -> None:
    """R and T before ``step``, from the last tau_e - 1 inputs or more, as ``slide`` has them."""
    tau, n_neurons = history.shape
    for term in range(terms.shape[0]):
        clear(suffixes[term].reshape(tau * n_neurons))
        clear(sums[term])
        for group in range((n_neurons + GROUP - 1) // GROUP):
            low, high = group * GROUP, min((group + 1) * GROUP, n_neurons)
            offset = block_offset(step, group, tau)
            if offset == 0:
                continue  # the step itself closes the block
            start = step - offset
            close_block(start, offset + 1, history, powers[term], suffixes[term], low, high)
            _replay(start, offset, history, terms[term, 1], sums[term], low, high)


@part
def _replay(
    start: int, n_steps: int, history: Any, decay: Any, sums: Floats, low: int, high: int
) -> None:
    tau = history.shape[0]
    for past in range(start, start + n_steps):
        row = history[past % tau]
        for i in range(low, high):
            sums[i] = decay * sums[i] + row[i]


@part
def rebuild_future(step: int, history: Floats, kernels: Floats, future: Floats) -> None:
    """The ring of future potentials before ``step``, from the last tau_e currents.

    Args:
        step: the next step.
        history: I, row step % tau_e, (tau_e, n_basis, n_neurons).
        kernels: (n_basis, tau_e).
        future: the result, (tau_e, n_neurons).
    """
    n_basis, tau = kernels.shape
    clear(future.reshape(future.size))
    for past in range(step - tau + 1, step):
        for lag in range(step - past, tau):
            target = future[(past + lag) % tau]
            for basis in range(n_basis):
                weight = kernels[basis, lag]
                row = history[past % tau, basis]
                for i in range(target.shape[0]):
                    target[i] += weight * row[i]
