"""Writes factors into the weights: from the side of the spikes, which are few, not of the traces.

    sum_s c_s xbar_{s,j} e_s = sum of h_t over the steps t at which input j was active
    h_t = sum over s >= t of c_s k_{s-t} e_s      k: the response, tau_e steps long

So of W only the rows of inputs that were active are read and written, each once for many steps.
Where the response is one exponential, k_d = k a^d, and there are at most tau_e factors s, an h_t
costs one or two rows of numbers, whatever tau_e:

    h_t = k c_t e_t + a h_{t+1}                       t among the factors' steps
    h_t = a^{first-t} p_x, x = min(t + tau_e, last) - 1            t before them
    p_x = p_{x-1} + k a^{x-first} c_x e_x
"""

from __future__ import annotations

from streamvdib.backends.compilation import ONE, ZERO, Size, part, trailing_zeros, unsigned
from streamvdib.backends.numba_factors import (
    COLUMNS,
    HISTORY,
    N_PAST,
    SIGNALS,
    Factors,
)
from streamvdib.backends.numba_neurons import Network
from streamvdib.backends.numba_plan import (
    KERNELS,
    N_BASIS,
    N_INPUTS,
    N_PADDED,
    N_TERMS,
    POWERS,
    TAU,
    TERMS,
    WEIGHTS,
    Plan,
)
from streamvdib.backends.numba_sums import add_plain_rows, add_scaled_rows

WORD = unsigned(64)
ALL = ~ZERO


@part
def write_factors(
    network: Network, row: Plan, ring: Plan, factors: Factors, first: Size, last: Size
) -> None:
    """Write the factors ``first`` to ``last`` (half-open) of a layer into its weights."""
    tau, n_basis, n_padded = row[TAU], row[N_BASIS], row[N_PADDED]
    is_exponential = n_basis == ONE and row[N_TERMS] == ONE
    while first < last:
        end = min(last, first + tau)
        oldest = first + ONE - min(tau, first + ONE)  # no input was active before step 0
        for column in range(ZERO, n_padded, COLUMNS):
            width = min(COLUMNS, n_padded - column)
            for basis in range(n_basis):
                if is_exponential:
                    _fill_exponential(
                        network, row, ring, factors, oldest, first, end, column, width
                    )
                else:
                    _fill(network, row, ring, factors, basis, oldest, first, end, column, width)
                _add(network, row, ring, factors, basis, oldest, end, column, width)
        first = end


@part
def _fill(
    network: Network, row: Plan, ring: Plan, factors: Factors, basis: Size, oldest: Size,
    first: Size, last: Size, column: Size, width: Size,
) -> None:  # fmt: skip
    """Every h_t, oldest first, over a range of columns."""
    tau, n_padded, n_slots = row[TAU], row[N_PADDED], unsigned(len(factors.coefficients))
    kernel, signals, target = row[KERNELS] + basis * tau, ring[SIGNALS], ZERO
    values = factors.values
    for step in range(oldest, last):
        n, begin = ZERO, max(step, first)
        slot = begin % n_slots
        for lag in range(begin - step, min(tau, last - step)):
            factors.scales[n] = factors.coefficients[slot] * network.constants[kernel + lag]
            factors.places[n] = signals + slot * n_padded
            n += ONE
            slot = slot + ONE if slot + ONE < n_slots else ZERO
        for i in range(width):
            factors.held[target + i] = 0
        add_scaled_rows(
            factors.held, target, width, n, factors.scales, factors.places, values, column
        )
        target += width


@part
def _fill_exponential(
    network: Network, row: Plan, ring: Plan, factors: Factors, oldest: Size, first: Size,
    last: Size, column: Size, width: Size,
) -> None:  # fmt: skip
    """As ``_fill``, of one exponential."""
    values, held, constants, tau = factors.values, factors.held, network.constants, row[TAU]
    n_slots, signals, powers = unsigned(len(factors.coefficients)), ring[SIGNALS], row[POWERS]
    coefficient, decay = constants[row[TERMS]], constants[row[TERMS] + ONE]
    number, p = constants.dtype.type, (last - oldest) * width
    for i in range(width):
        held[p + i] = 0
    for step in range(first, last):
        slot = step % n_slots
        source = signals + slot * row[N_PADDED] + column
        scale = number(factors.coefficients[slot] * coefficient * constants[powers + step - first])
        for i in range(width):
            held[p + i] += scale * values[source + i]
        after = step + ONE
        begin = max(after, oldest + tau) - tau  # the earlier steps whose last factor this is
        end = first if after == last else begin + unsigned(after >= oldest + tau)
        for earlier in range(begin, end):
            power, target = constants[powers + first - earlier], (earlier - oldest) * width
            for i in range(width):
                held[target + i] = power * held[p + i]
    for back in range(last - first):
        step = last - ONE - back
        slot, target = step % n_slots, (step - oldest) * width
        source = signals + slot * row[N_PADDED] + column
        scale = number(factors.coefficients[slot] * coefficient)
        if back == ZERO:
            for i in range(width):
                held[target + i] = scale * values[source + i]
        else:
            for i in range(width):
                held[target + i] = decay * held[target + width + i] + scale * values[source + i]


@part
def _add(
    network: Network, row: Plan, ring: Plan, factors: Factors, basis: Size, oldest: Size,
    last: Size, column: Size, width: Size,
) -> None:  # fmt: skip
    """To every input's row of weights, the sum of h over the steps at which it was active."""
    n_inputs, n_past, past, places = row[N_INPUTS], ring[N_PAST], ring[HISTORY], factors.places
    stride = row[N_BASIS] * row[N_PADDED]
    target = row[WEIGHTS] + basis * row[N_PADDED] + column
    for source in range(n_inputs):
        n = ZERO
        for step in range(oldest, last, WORD):  # 64 are looked at at once
            length, place, bit = min(WORD, last - step), step % n_past, step % WORD
            bits = factors.history[past + place // WORD * n_inputs + source] >> bit
            if bit + length > WORD:
                later = (place // WORD + ONE) % (n_past // WORD)
                bits |= factors.history[past + later * n_inputs + source] << (WORD - bit)
            bits &= ALL >> (WORD - length)
            while bits != ZERO:
                places[n] = (step - oldest + trailing_zeros(bits)) * width
                n += ONE
                bits &= bits - ONE
        if n > ZERO:
            add_plain_rows(network.constants, target, width, n, places, factors.held, ZERO)
        target += stride
