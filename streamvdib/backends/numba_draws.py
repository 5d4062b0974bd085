"""The stochastic threshold, compiled: ``randomness.draws`` bit for bit, and the logistic function.

exp(x) = 2^k exp(r), k = round(x / ln 2), |r| <= ln 2 / 2, exp(r) by its Taylor series (7 terms in
float32, 13 in float64): LLVM turns that into vector code where it cannot with ``math.exp``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import overload

from streamvdib.backends.compilation import (
    ZERO,
    Floats,
    Integers,
    Size,
    float32_of_bits,
    float64_of_bits,
    forced,
    inlined,
    numba_intrinsic,
    part,
    unsigned,
)
from streamvdib.backends.numba_sums import spread
from streamvdib.backends.numba_vectors import WIDTH, Places, Vector, vector_kernel

HALF = np.uint64(32)
LOW_BITS, STEP_BITS = 40, 24
DRAW_UNIT = 1.0 / (1 << 24)

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
    x = y * y + y
    x = (x >> HALF) | (x << HALF)
    x = x * x + z
    x = (x >> HALF) | (x << HALF)
    x = x * x + y
    x = (x >> HALF) | (x << HALF)
    return (x * x + z) >> np.uint64(LOW_BITS)


@numba_intrinsic  # type: ignore[untyped-decorator]
def fill_draws(
    typing_context: Any, key: Any, step: Any, low: Any, n_neurons: Any, draws: Any  # noqa: ARG001
) -> Any:  # fmt: skip
    """Uniform draws in [0, 1) of neurons low, low + 1, ... at a step, into an array of numbers.

    ``n_neurons`` is a multiple of ``WIDTH``. As ``draw_word``, written as vectors.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        key, step, low, n_neurons = arguments[:4]
        array = context.make_array(signature.args[4])(context, builder, arguments[4])
        words, number = ir.VectorType(ir.IntType(64), WIDTH), array.data.type.pointee

        def all_of(value: int) -> Any:
            return ir.Constant(words, [value] * WIDTH)

        def round_of(x: Any, added: Any) -> Any:
            return builder.add(builder.mul(x, x), added)

        def halves_changed(x: Any) -> Any:
            """A rotation by 32, as a shuffle: CPUs have another unit for those."""
            halves = ir.VectorType(ir.IntType(32), 2 * WIDTH)
            mask = ir.Constant(halves, [place ^ 1 for place in range(2 * WIDTH)])
            x = builder.bitcast(x, halves)
            return builder.bitcast(builder.shuffle_vector(x, x, mask), words)

        keys = spread(builder, key, WIDTH)
        first = builder.mul(builder.add(builder.shl(step, step.type(STEP_BITS)), low), key)
        side_by_side = builder.mul(keys, ir.Constant(words, list(range(WIDTH))))
        zero, width = n_neurons.type(0), n_neurons.type(WIDTH)
        with cgutils.for_range_slice(builder, zero, n_neurons, width, inc=True) as (i, _):
            here = spread(builder, builder.add(first, builder.mul(i, key)), WIDTH)
            y = builder.add(here, side_by_side)
            z = builder.add(y, keys)
            x = halves_changed(round_of(y, y))
            x = halves_changed(round_of(x, z))
            x = halves_changed(round_of(x, y))
            bits = builder.lshr(round_of(x, z), all_of(LOW_BITS))
            whole = builder.trunc(bits, ir.VectorType(ir.IntType(32), WIDTH))
            unit = spread(builder, number(DRAW_UNIT), WIDTH)
            vector = ir.VectorType(number, WIDTH)
            place = builder.bitcast(builder.gep(array.data, [i]), vector.as_pointer())
            uniform = builder.fmul(builder.sitofp(whole, vector), unit)
            builder.store(uniform, place, align=number.get_abi_size(context.target_data))
        return context.get_dummy_value()

    return types.void(key, step, low, n_neurons, draws), generate


@part
def fill_draws_in_order(
    key: Size, step: Size, n_neurons: Size, orders: Integers, order: Size, draws: Floats
) -> None:
    """The same where ``orders`` says which neuron is in which place."""
    first = step << np.uint64(STEP_BITS)
    for place in range(n_neurons):
        neuron = unsigned(orders[order + place])
        draws[place] = np.int32(draw_word(first + neuron, key)) * DRAW_UNIT


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


def _exponential(x: Vector) -> Vector:
    """exp(x) as above; x from -87 or -700 on, and infinite past the largest number."""
    rounding, per_ln2, high, low, taylor, bits = (
        (ROUNDING_32, PER_LN2_32, LN2_HIGH_32, LN2_LOW_32, TAYLOR_32, 23)
        if x.is_single
        else (ROUNDING_64, PER_LN2_64, LN2_HIGH_64, LN2_LOW_64, TAYLOR_64, 52)
    )
    rounded = x * per_ln2 + rounding
    power = rounded - rounding
    r = (x - power * high) - power * low
    series = r * taylor[-1] + taylor[-2]
    for coefficient in taylor[-3::-1]:
        series = series * r + coefficient
    return series * rounded.power_of_two(bits)


def spikes_at_random(potentials: Vector, draws: Vector) -> Vector:
    """1 where a draw is below sigma(u), else 0.

    u < 1 / (1 + e) is u (1 + e) < 1, without a division.
    """
    lowest, highest = (-87.0, 89.0) if potentials.is_single else (-700.0, 710.0)
    against = _exponential((-potentials).between(lowest, highest)) + 1.0
    return (draws * against).is_below(1.0)


def _fire(at: Places) -> None:
    draws, potentials, spikes = range(3)
    at.write(spikes, spikes_at_random(at.read(potentials), at.read(draws)))


_fire_vectors = vector_kernel(_fire, "tmm")


@forced
def fire_at_random(
    draws: Floats, n_neurons: Size, memory: Floats, potentials: Size, spikes: Size
) -> None:
    """Spikes with probability sigma(u): 1 where the draw is smaller, else 0.

    ``n_neurons`` is a multiple of ``WIDTH``; draws are numbers of the memory's type.
    """
    _fire_vectors(memory, memory, draws, (ZERO, potentials, spikes), (), n_neurons)
