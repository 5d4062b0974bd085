"""Sums of weight rows, kept in vector registers while the list of active inputs is gone through.

LLVM would load and store the sum for every few rows; written as one vector instruction a row, it
stays in registers. Rows may have weights of 4 or 8 bytes, or of 2 or 1 (``reduced_weights``) in the
place of float32 ones, widened when read. Weights are added in the order of the list, so a sum
does not depend on the width of vectors, nor on how neurons are grouped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils

from streamvdib.backends.compilation import (
    PADDING,
    Floats,
    Integers,
    Size,
    forced,
    numba_intrinsic,
    unsigned,
)

NARROWEST = unsigned(PADDING)
WIDE = unsigned(2 * PADDING)  # 64 float32: half of the registers of AVX2, a quarter of AVX-512
APART = 16  # neurons whose bf16 weights share a word
Value = Any  # of LLVM
Widen = Callable[[Any, Value, Any, Value], Value]  # builder, loaded, number type, scales


def _same(builder: Any, loaded: Value, number: Any, scales: Value) -> Value:  # noqa: ARG001
    return loaded


def _from_bf16(builder: Any, loaded: Value, number: Any, scales: Value) -> Value:  # noqa: ARG001
    """Words of two weights, ``APART`` neurons apart: the lower one is shifted up."""
    count = loaded.type.count

    def all_of(bits: int) -> Value:
        return ir.Constant(loaded.type, [bits] * count)

    halves = [
        builder.bitcast(bits, ir.VectorType(ir.FloatType(), count))
        for bits in (builder.shl(loaded, all_of(16)), builder.and_(loaded, all_of(0xFFFF0000)))
    ]
    neurons = np.arange(2 * count).reshape(-1, 2, APART)
    order = (neurons // (2 * APART) * APART + neurons % APART + [[0], [count]]).ravel().tolist()
    mask = ir.Constant(ir.VectorType(ir.IntType(32), 2 * count), order)
    single = builder.shuffle_vector(*halves, mask)
    return builder.fpext(single, ir.VectorType(number, 2 * count))


def _from_int8(builder: Any, loaded: Value, number: Any, scales: Value) -> Value:
    numbers = builder.sitofp(loaded, ir.VectorType(number, loaded.type.count))
    return builder.fmul(scales, numbers)


def _summing(width: int, stored: Any, widen: Widen, n_in_one: int) -> Any:
    """A kernel that sums rows of ``width`` weights.

    Args:
        width: weights of a row that are summed.
        stored: LLVM's type of what is stored where it is not that of the array.
        n_in_one: weights in each of them, 1 or 2.
        widen: what makes a loaded vector one of the array's type.
    """

    @numba_intrinsic  # type: ignore[untyped-decorator]
    def kernel(
        typing_context: Any,  # noqa: ARG001 - numba's signature
        weights: Any,
        first: Any,
        stride: Any,
        scales: Any,
        indices: Any,
        start: Any,
        end: Any,
        memory: Any,
        target: Any,
    ) -> Any:
        if any(array.layout != "C" for array in (weights, indices, memory)):
            return None  # numba says that no such kernel exists

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def data(place: int) -> Value:
                array = context.make_array(signature.args[place])
                return array(context, builder, arguments[place]).data

            def address(pointer: Value, element: Any, place: Value, count: int) -> Value:
                typed = builder.bitcast(pointer, element.as_pointer())
                return builder.bitcast(
                    builder.gep(typed, [place]), ir.VectorType(element, count).as_pointer()
                )

            number = context.get_data_type(memory.dtype)
            element = number if stored is None else stored
            align = number.get_abi_size(context.target_data)
            first, stride, scales = arguments[1:4]
            nothing = ir.Constant(ir.VectorType(number, width), None)
            total: Any = cgutils.alloca_once_value(builder, nothing)  # type: ignore[no-untyped-call]
            factors = None
            if widen is _from_int8:
                factors = builder.load(address(data(0), number, scales, width), align=align)
            source, list_of_rows = data(0), data(4)
            low = context.cast(builder, arguments[5], signature.args[5], types.intp)
            high = context.cast(builder, arguments[6], signature.args[6], types.intp)
            step = ir.Constant(low.type, 1)
            with cgutils.for_range_slice(builder, low, high, step, inc=True) as (k, _):
                index = builder.load(builder.gep(list_of_rows, [k]))
                index = context.cast(builder, index, indices.dtype, types.uint64)
                place = builder.add(first, builder.mul(index, stride))
                place = builder.lshr(place, place.type(n_in_one - 1))
                loaded = builder.load(
                    address(source, element, place, width // n_in_one),
                    align=element.get_abi_size(context.target_data),
                )
                row = widen(builder, loaded, number, factors)
                builder.store(builder.fadd(builder.load(total), row), total)
            builder.store(
                builder.load(total), address(data(7), number, arguments[8], width), align=align
            )
            return context.get_dummy_value()

        signature = types.void(weights, first, stride, scales, indices, start, end, memory, target)
        return signature, generate

    return kernel


def _both_widths(stored: Any, widen: Widen, widest: Size = WIDE, n_in_one: int = 1) -> Any:
    """A kernel for any number of weights that ``PADDING`` divides."""
    wide = _summing(int(widest), stored, widen, n_in_one)
    narrow = _summing(int(NARROWEST), stored, widen, n_in_one)

    @forced
    def sum_rows(
        weights: Floats,
        first: Size,
        stride: Size,
        scales: Size,
        indices: Integers,
        start: int,
        end: int,
        memory: Floats,
        target: Size,
        width: Size,
    ) -> None:
        done = unsigned(0)
        while done + widest <= width:
            wide(
                weights, first + done, stride, scales + done,
                indices, start, end, memory, target + done,
            )  # fmt: skip
            done += widest
        if done < width:
            narrow(
                weights, first + done, stride, scales + done,
                indices, start, end, memory, target + done,
            )  # fmt: skip

    return sum_rows


# The sum of the rows ``indices[start:end]`` over ``width`` neurons, written to ``memory[target:]``.
# ``first`` and ``stride`` count weights: where row 0 begins, and how far rows are apart.
sum_rows = _both_widths(None, _same)
sum_bf16_rows = _both_widths(ir.IntType(32), _from_bf16, n_in_one=2)
sum_int8_rows = _both_widths(
    ir.IntType(8), _from_int8, NARROWEST
)  # each weight times its neuron's scale
