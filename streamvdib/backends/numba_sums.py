"""Sums of products and of rows, written out as vectors of eight: partial sums stay in registers.

LLVM may not change the order of a sum, and it must look at every loop whether its arrays overlap.
Here the order is chosen once: eight sums side by side, whatever the width of the CPU's vectors, so
the bits are the same on each. A product and a sum are not fused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils

from streamvdib.backends.compilation import (
    ZERO,
    Floats,
    Size,
    numba_intrinsic,
    part,
    unsigned,
)

WIDTH = 8
THIRTY_TWO = unsigned(32)
LINE = unsigned(64)  # bytes of a cache line
_INT64 = ir.IntType(64)


@part
def dot(a: Floats, p: Size, b: Floats, q: Size, n: Size) -> Any:
    """Sum of n products a[p + i] b[q + i]: 32 sums side by side, folded; then the rest."""
    whole = n // THIRTY_TWO * THIRTY_TWO
    total = _whole_dot(a, p, b, q, whole)
    for i in range(whole, n):
        total += a[p + i] * b[q + i]
    return total


@numba_intrinsic  # type: ignore[untyped-decorator]
def _whole_dot(typing_context: Any, a: Any, p: Any, b: Any, q: Any, n: Any) -> Any:  # noqa: ARG001
    """``dot`` of a multiple of 32 numbers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left = _address(context, builder, signature, arguments, 0, arguments[1])
        right = _address(context, builder, signature, arguments, 2, arguments[3])
        sums = [_accumulator(builder, left.type.pointee) for _ in range(4)]
        with _steps(builder, arguments[4], 4 * WIDTH) as (place, _):
            for index, total in enumerate(sums):
                at = builder.add(place, _INT64(index * WIDTH))
                product = builder.fmul(_load(builder, left, at), _load(builder, right, at))
                builder.store(builder.fadd(builder.load(total), product), total)
        one, two, three, four = (builder.load(total) for total in sums)
        folded = builder.fadd(builder.fadd(one, two), builder.fadd(three, four))
        lanes = [builder.extract_element(folded, ir.IntType(32)(i)) for i in range(WIDTH)]
        return _folded(builder, lanes)

    return a.dtype(a, p, b, q, n), generate


@numba_intrinsic  # type: ignore[untyped-decorator]
def add_scaled_rows(
    typing_context: Any,  # noqa: ARG001 - numba's signature
    target: Any, start: Any, width: Any, n: Any, scales: Any, places: Any, source: Any, column: Any,
) -> Any:  # fmt: skip
    """Add to ``target[start:]`` the first n rows, scales[k] source[places[k] + column :].

    Rows are added one after the other. ``width``, a multiple of 8, is that of all of them; the
    target must not be among the rows.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        factors = _address(context, builder, signature, arguments, 4, _INT64(0))
        _add(context, builder, signature, arguments, (5, 6, 7), factors)
        return context.get_dummy_value()

    return types.void(target, start, width, n, scales, places, source, column), generate


@numba_intrinsic  # type: ignore[untyped-decorator]
def add_plain_rows(
    typing_context: Any,  # noqa: ARG001 - numba's signature
    target: Any, start: Any, width: Any, n: Any, places: Any, source: Any, column: Any,
) -> Any:  # fmt: skip
    """``add_scaled_rows`` without scales."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _add(context, builder, signature, arguments, (4, 5, 6), None)
        return context.get_dummy_value()

    return types.void(target, start, width, n, places, source, column), generate


@part
def prefetch_row(values: Floats, first: Size, n: Size) -> None:
    """Ask for n numbers to be brought into the cache: reading them soon will not wait."""
    step = LINE // unsigned(values.itemsize)
    for i in range(ZERO, n, step):
        _prefetch(values, first + i)


@numba_intrinsic  # type: ignore[untyped-decorator]
def _prefetch(typing_context: Any, values: Any, place: Any) -> Any:  # noqa: ARG001
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        address = _address(context, builder, signature, arguments, 0, arguments[1])
        to_read, every_cache, data = number(0), number(3), number(1)
        builder.call(prefetch, [builder.bitcast(address, byte), to_read, every_cache, data])
        return context.get_dummy_value()

    return types.void(values, place), generate


def _add(
    context: Any, builder: Any, signature: Any, arguments: Any, which: Sequence[int], scales: Any
) -> None:
    """Rows in blocks of 64 numbers, of 32, then of 8; ``which``: places, source and column."""
    target = _address(context, builder, signature, arguments, 0, arguments[1])
    places = _address(context, builder, signature, arguments, which[0], _INT64(0))
    source = _address(context, builder, signature, arguments, which[1], arguments[which[2]])
    width, n, number = arguments[2], arguments[3], target.type.pointee
    first = _INT64(0)
    for wide in (8 * WIDTH, 4 * WIDTH, WIDTH):
        total = _accumulator(builder, number, wide)
        whole = builder.and_(builder.sub(width, first), _INT64(-wide))
        with _steps(builder, whole, wide) as (low, _):
            place = builder.add(first, low)
            builder.store(_load(builder, target, place, wide), total)
            with _steps(builder, n, 1) as (row, _):
                begin = builder.gep(source, [builder.load(builder.gep(places, [row]))])
                value = _load(builder, begin, place, wide)
                if scales is not None:
                    scale = builder.load(builder.gep(scales, [row]))
                    value = builder.fmul(spread(builder, scale, wide), value)
                builder.store(builder.fadd(builder.load(total), value), total)
            into = _vector(builder, target, place, wide)
            builder.store(builder.load(total), into, align=_size(number))
        first = builder.add(first, whole)


def _address(
    context: Any, builder: Any, signature: Any, arguments: Any, index: int, place: Any
) -> Any:
    """Where an element of an array lies."""
    array = context.make_array(signature.args[index])(context, builder, arguments[index])
    return builder.gep(array.data, [place])


def _steps(builder: Any, stop: Any, step: int) -> Any:
    """A loop from 0 up to ``stop``: a context that gives its counter, and the number of turns."""
    return cgutils.for_range_slice(builder, _INT64(0), stop, _INT64(step), _INT64)


def _accumulator(builder: Any, number: Any, count: int = WIDTH) -> Any:
    """``count`` sums, zero; LLVM keeps them in registers."""
    vector = ir.VectorType(number, count)
    place: Any = cgutils.alloca_once(builder, vector)  # type: ignore[no-untyped-call]
    builder.store(ir.Constant(vector, None), place)
    return place


def _vector(builder: Any, address: Any, offset: Any, count: int = WIDTH) -> Any:
    vector = ir.VectorType(address.type.pointee, count).as_pointer()
    return builder.bitcast(builder.gep(address, [offset]), vector)


def _load(builder: Any, address: Any, offset: Any, count: int = WIDTH) -> Any:
    size = _size(address.type.pointee)
    return builder.load(_vector(builder, address, offset, count), align=size)


def _size(number: Any) -> int:
    return 4 if isinstance(number, ir.FloatType) else 8


def spread(builder: Any, number: Any, count: int = WIDTH) -> Any:
    """A vector of ``count`` times the same number."""
    vector, index = ir.VectorType(number.type, count), ir.IntType(32)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, index(0))
    nothing = ir.Constant(vector, ir.Undefined)
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(index, count), None))


def _folded(builder: Any, numbers: list[Any]) -> Any:
    """Their sum, in halves."""
    while len(numbers) > 1:
        half = len(numbers) // 2
        numbers = [builder.fadd(numbers[i], numbers[half + i]) for i in range(half)]
    return numbers[0]
