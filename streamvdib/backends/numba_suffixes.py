"""T of a block of an exponential that is over (``numba_filters``), from its last step to its first.

    T_p = a^(tau_e-1-p) J_p + T_{p+1},  T_{tau_e} = 0

Through memory each T would wait for the one before to be stored; here it stays in registers.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils

from streamvdib.backends.compilation import numba_intrinsic
from streamvdib.backends.numba_sums import spread
from streamvdib.backends.numba_vectors import WIDTH


def _summing_suffixes(width: int) -> Any:
    """A kernel for ``width`` neighbouring neurons."""

    @numba_intrinsic  # type: ignore[untyped-decorator]
    def kernel(
        typing_context: Any,  # noqa: ARG001 - numba's signature
        memory: Any, constants: Any, powers: Any, history: Any, suffixes: Any,
        turn: Any, last: Any, tau: Any, stride: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            numbers, fixed = (
                context.make_array(array)(context, builder, argument).data
                for array, argument in zip(signature.args[:2], arguments[:2], strict=True)
            )
            powers, history, suffixes, turn, last, tau, stride = arguments[2:]
            vector = ir.VectorType(numbers.type.pointee, width)
            align = numbers.type.pointee.get_abi_size(context.target_data)
            zero, one = (ir.Constant(tau.type, k) for k in range(2))

            def place(first: Any, row: Any) -> Any:
                element = builder.add(first, builder.mul(row, stride))
                return builder.bitcast(builder.gep(numbers, [element]), vector.as_pointer())

            nothing = ir.Constant(vector, None)
            total: Any = cgutils.alloca_once_value(builder, nothing)  # type: ignore[no-untyped-call]
            stop = builder.sub(tau, last)
            with cgutils.for_range_slice(builder, zero, stop, one, inc=True) as (back, _):
                p = builder.sub(builder.sub(tau, one), back)
                row = builder.add(turn, p)
                is_over = builder.icmp_unsigned(">=", row, tau)
                row = builder.select(is_over, builder.sub(row, tau), row)
                power = builder.load(builder.gep(fixed, [builder.add(powers, back)]))
                given = builder.load(place(history, row), align=align)
                weighted = builder.fmul(spread(builder, power, width), given)
                later = builder.fadd(weighted, builder.load(total))
                builder.store(later, total)
                builder.store(later, place(suffixes, p), align=align)
            return context.get_dummy_value()

        return types.void(
            memory, constants, powers, history, suffixes, turn, last, tau, stride
        ), generate

    return kernel


sum_suffixes_of_group = _summing_suffixes(64)
sum_suffixes_of_vector = _summing_suffixes(WIDTH)
