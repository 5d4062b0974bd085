"""Weight rows of 2 or 1 bytes a weight, summed in float32: a spike's cost is reading its rows.

The rows lie in the float32 constants, two or four weights in the place of one. Weights are
widened one by one and added in the order of the list, so a sum is that of wide rows of the same
weights (see ``streamvdib.reduced_weights``), bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from streamvdib.backends.compilation import (
    Floats,
    Integers,
    Size,
    numba_intrinsic,
    part,
    unsigned,
)
from streamvdib.reduced_weights import BF16, int8_weights

BYTES = {"bf16": 2, "int8": 1}  # of a weight


def write_narrow(target: Floats, scales: Floats, synapses: npt.NDArray[Any], kind: str) -> None:
    """Write synapses as narrow rows.

    Args:
        target: (n_inputs, n_basis, n_padded * bytes of a weight / 4), float32.
        scales: (n_basis, n_padded), written for int8.
        synapses: rounded, (n_basis, n_inputs, n_neurons), float32.
        kind: "bf16" or "int8".
    """
    n_neurons = synapses.shape[2]
    if kind == BF16:
        bits = np.ascontiguousarray(synapses, np.float32).view(np.uint32) >> 16
        target.view(np.uint16)[:, :, :n_neurons] = bits.transpose(1, 0, 2)
        return
    numbers, steps = int8_weights(torch.from_numpy(synapses))
    target.view(np.int8)[:, :, :n_neurons] = numbers.numpy().transpose(1, 0, 2)
    scales[:, :n_neurons] = steps.numpy()[:, 0]


@numba_intrinsic  # type: ignore[untyped-decorator]
def bf16_at(typing_context: Any, values: Any, place: Any) -> Any:  # noqa: ARG001 - numba's signature
    """Element ``place`` of an array's bytes read as bfloat16, as float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        start = builder.bitcast(array.data, ir.PointerType(ir.IntType(16)))
        bits = builder.load(builder.gep(start, [arguments[1]]), align=2)
        wide = builder.shl(builder.zext(bits, ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
        return builder.bitcast(wide, ir.FloatType())

    return types.float32(values, place), generate


@numba_intrinsic  # type: ignore[untyped-decorator]
def int8_at(typing_context: Any, values: Any, place: Any) -> Any:  # noqa: ARG001 - numba's signature
    """Element ``place`` of an array's bytes read as int8, as float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        start = builder.bitcast(array.data, ir.PointerType(ir.IntType(8)))
        number = builder.load(builder.gep(start, [arguments[1]]), align=1)
        return builder.sitofp(number, ir.FloatType())

    return types.float32(values, place), generate


@part
def sum_bf16_rows(
    weights: Floats,
    first_row: Size,
    width: Size,
    indices: Integers,
    start: int,
    end: int,
    memory: Floats,
    current: Size,
) -> None:
    """``sum_rows`` of rows in bfloat16; ``first_row`` counts numbers of ``weights``."""
    for i in range(width):
        memory[current + i] = 0
    first = first_row * unsigned(2)
    k = start
    while k + 8 <= end:
        a, b = _row(first, width, indices[k]), _row(first, width, indices[k + 1])
        c, d = _row(first, width, indices[k + 2]), _row(first, width, indices[k + 3])
        e, f = _row(first, width, indices[k + 4]), _row(first, width, indices[k + 5])
        g, h = _row(first, width, indices[k + 6]), _row(first, width, indices[k + 7])
        for i in range(width):
            half = memory[current + i] + bf16_at(weights, a + i) + bf16_at(weights, b + i)
            half = half + bf16_at(weights, c + i) + bf16_at(weights, d + i)
            whole = half + bf16_at(weights, e + i) + bf16_at(weights, f + i)
            memory[current + i] = whole + bf16_at(weights, g + i) + bf16_at(weights, h + i)
        k += 8
    while k + 2 <= end:
        a, b = _row(first, width, indices[k]), _row(first, width, indices[k + 1])
        for i in range(width):
            total = memory[current + i] + bf16_at(weights, a + i)
            memory[current + i] = total + bf16_at(weights, b + i)
        k += 2
    if k < end:
        a = _row(first, width, indices[k])
        for i in range(width):
            memory[current + i] += bf16_at(weights, a + i)


@part
def sum_int8_rows(
    weights: Floats,
    first_row: Size,
    scales: Size,
    width: Size,
    indices: Integers,
    start: int,
    end: int,
    memory: Floats,
    current: Size,
) -> None:
    """``sum_rows`` of rows in int8, each weight times its scale, which lie at ``scales``.

    Four rows at a time: with more, LLVM does not check that they lie apart, and takes one weight
    after the other.
    """
    for i in range(width):
        memory[current + i] = 0
    first = first_row * unsigned(4)
    k = start
    while k + 4 <= end:
        a, b = _row(first, width, indices[k]), _row(first, width, indices[k + 1])
        c, d = _row(first, width, indices[k + 2]), _row(first, width, indices[k + 3])
        for i in range(width):
            scale = weights[scales + i]
            half = memory[current + i] + scale * int8_at(weights, a + i)
            half = half + scale * int8_at(weights, b + i)
            half = half + scale * int8_at(weights, c + i)
            memory[current + i] = half + scale * int8_at(weights, d + i)
        k += 4
    while k < end:
        a = _row(first, width, indices[k])
        for i in range(width):
            memory[current + i] += weights[scales + i] * int8_at(weights, a + i)
        k += 1


@part
def _row(first: Size, width: Size, index: int) -> Any:
    return first + unsigned(index) * width
