"""The stochastic threshold, compiled: ``randomness.draws`` bit for bit, and the logistic function.

exp(x) = 2^k exp(r), k = round(x / ln 2), |r| <= ln 2 / 2, exp(r) by its Taylor series (7 terms in
float32, 13 in float64): LLVM turns that into vector code where it cannot with ``math.exp``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from streamvdib.backends.compilation import (
    Floats,
    Integers,
    Size,
    float32_of_bits,
    float64_of_bits,
    forced,
    inlined,
    part,
    unsigned,
)

HALF = np.uint64(32)
HALF_AND_ONE = np.uint64(33)
LOW_HALF = np.uint64((1 << 32) - 1)
LOW_BITS = np.uint64(40)
STEP_BITS = np.uint64(24)
DRAW_UNIT = np.float32(1.0 / (1 << 24))

ROUNDING_32 = np.float32(1.5 * 2**23)  # adding it rounds to a whole number
ROUNDING_64 = np.float64(1.5 * 2**52)
PER_LN2_32, LN2_HIGH_32, LN2_LOW_32 = (
    np.float32(1 / math.log(2)),
    np.float32(0.693359375),
    np.float32(-2.12194440e-4),
)
PER_LN2_64, LN2_HIGH_64, LN2_LOW_64 = (
    np.float64(1 / math.log(2)),
    np.float64(6.93145751953125e-1),
    np.float64(1.42860682030941723212e-6),
)
TAYLOR_32 = tuple(np.float32(1 / math.factorial(n)) for n in range(8))
TAYLOR_64 = tuple(np.float64(1 / math.factorial(n)) for n in range(14))


@inlined
def draw_word(counter: Any, key: Any) -> Any:
    """Four rounds of "squares" (arXiv:2004.06278): 24 random bits as a uint64."""
    y = counter * key
    z = y + key
    x = _square(y) + y
    x = (x >> HALF) | (x << HALF)
    x = _square(x) + z
    x = (x >> HALF) | (x << HALF)
    x = _square(x) + y
    x = (x >> HALF) | (x << HALF)
    return (_square(x) + z) >> LOW_BITS


@inlined
def _square(x: Any) -> Any:
    """Square of a uint64 by products of 32 bits: before AVX-512 vectors have no others."""
    low = x & LOW_HALF
    return low * low + ((low * (x >> HALF)) << HALF_AND_ONE)


@forced
def fill_draws(key: Size, step: Size, low: Size, n_neurons: Size, draws: Floats) -> None:
    """Uniform draws in [0, 1) of neurons low, low + 1, ... at a step, into a float32 array."""
    first = (step << STEP_BITS) + low
    for place in range(n_neurons):
        draws[place] = np.float32(np.int32(draw_word(first + place, key))) * DRAW_UNIT


@part
def fill_draws_in_order(
    key: Size, step: Size, n_neurons: Size, orders: Integers, order: Size, draws: Floats
) -> None:
    """The same where ``orders`` says which neuron is in which place."""
    first = step << STEP_BITS
    for place in range(n_neurons):
        neuron = unsigned(orders[order + place])
        draws[place] = np.float32(np.int32(draw_word(first + neuron, key))) * DRAW_UNIT


@inlined
def _exp32(x: Any) -> Any:
    x = min(max(x, np.float32(-87.0)), np.float32(89.0))  # 2^128: infinite
    rounded = x * PER_LN2_32 + ROUNDING_32
    power = rounded - ROUNDING_32
    r = (x - power * LN2_HIGH_32) - power * LN2_LOW_32
    c0, c1, c2, c3, c4, c5, c6, c7 = TAYLOR_32
    series = (((((((c7 * r + c6) * r + c5) * r + c4) * r + c3) * r + c2) * r) + c1) * r + c0
    return series * float32_of_bits((np.int32(power) + np.int32(127)) << np.int32(23))


@inlined
def _exp64(x: Any) -> Any:
    x = min(max(x, -700.0), 710.0)
    rounded = x * PER_LN2_64 + ROUNDING_64
    power = rounded - ROUNDING_64
    r = (x - power * LN2_HIGH_64) - power * LN2_LOW_64
    c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13 = TAYLOR_64
    high = ((((((c13 * r + c12) * r + c11) * r + c10) * r + c9) * r + c8) * r + c7) * r + c6
    series = (((((high * r + c5) * r + c4) * r + c3) * r + c2) * r + c1) * r + c0
    return series * float64_of_bits((np.int64(power) + np.int64(1023)) << np.int64(52))


def logistic(x: Any) -> Any:
    """1 / (1 + exp(-x)), within 2e-7 in float32 and 1e-15 in float64; compiled code only."""
    raise NotImplementedError("logistic must be called from compiled code; use torch.sigmoid")


@overload(logistic, inline="always")
def _logistic(x: Any) -> Any:
    if x == types.float32:

        def logistic32(x: Any) -> Any:
            return np.float32(1.0) / (np.float32(1.0) + _exp32(-x))

        return logistic32

    def logistic64(x: Any) -> Any:
        return 1.0 / (1.0 + _exp64(-x))

    return logistic64


@forced
def fire_at_random(
    draws: Floats, n_neurons: Size, memory: Floats, potentials: Size, spikes: Size
) -> None:
    """Spikes with probability sigma(u): 1 where the draw is smaller, else 0."""
    for i in range(n_neurons):
        memory[spikes + i] = draws[i] < logistic(memory[potentials + i])
