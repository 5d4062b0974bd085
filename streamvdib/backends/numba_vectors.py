"""Arithmetic on neighbouring neurons as vector instructions, where loops would not become such.

LLVM turns a loop into vector code only when it has shown that what is written and what is read lie
apart; in one flat memory it asks that anew at every call, which takes longer than the work on the
few neurons of a group. A kernel made here reads sixteen neurons' numbers, computes, and writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, SupportsFloat

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils

from streamvdib.backends.compilation import numba_intrinsic
from streamvdib.backends.numba_sums import spread

WIDTH = 16  # one vector of AVX-512, two of AVX2, four of NEON, of float32
Value = Any  # of LLVM


class Vector:
    """Numbers of ``WIDTH`` neurons while a kernel is being written."""

    def __init__(self, builder: Any, value: Value) -> None:
        self.builder, self.value = builder, value

    @property
    def is_single(self) -> bool:
        """Whether the numbers are float32, not float64."""
        return isinstance(self.value.type.element, ir.FloatType)

    def _of(self, other: Vector | SupportsFloat) -> Value:
        if isinstance(other, Vector):
            return other.value
        return ir.Constant(self.value.type, [float(other)] * WIDTH)

    def __add__(self, other: Vector | SupportsFloat) -> Vector:
        return Vector(self.builder, self.builder.fadd(self.value, self._of(other)))

    def __sub__(self, other: Vector | SupportsFloat) -> Vector:
        return Vector(self.builder, self.builder.fsub(self.value, self._of(other)))

    def __mul__(self, other: Vector | SupportsFloat) -> Vector:
        return Vector(self.builder, self.builder.fmul(self.value, self._of(other)))

    def __neg__(self) -> Vector:
        return Vector(self.builder, self.builder.fneg(self.value))

    def between(self, low: float, high: float) -> Vector:
        """The numbers, or the bound that they are beyond; what is no number stays so."""
        value = self.value
        for sign, bound in (("<", self._of(low)), (">", self._of(high))):
            is_beyond = self.builder.fcmp_ordered(sign, value, bound)
            value = self.builder.select(is_beyond, bound, value)
        return Vector(self.builder, value)

    def is_not_negative(self) -> Vector:
        """1 where a number is 0 or more, else 0."""
        return self._ones(self.builder.fcmp_ordered(">=", self.value, self._of(0.0)))

    def is_below(self, bound: float) -> Vector:
        """1 where a number is less, else 0."""
        return self._ones(self.builder.fcmp_ordered("<", self.value, self._of(bound)))

    def _ones(self, holds: Value) -> Vector:
        return Vector(self.builder, self.builder.select(holds, self._of(1.0), self._of(0.0)))

    def power_of_two(self, n_bits: int) -> Vector:
        """2^k of numbers 1.5 2^n_bits + k: k lies in the lowest of a mantissa's n_bits."""
        words = ir.VectorType(ir.IntType(32 if self.is_single else 64), WIDTH)
        bits, place = self.builder.bitcast(self.value, words), ir.Constant(words, [n_bits] * WIDTH)
        one = self.builder.bitcast(self._of(1.0), words)
        power = self.builder.add(self.builder.shl(bits, place), one)
        return Vector(self.builder, self.builder.bitcast(power, self.value.type))


class Places:
    """What a kernel's body reads and writes: ``WIDTH`` neurons at each of its places."""

    def __init__(
        self, builder: Any, element: Any, alignment: int, places: list[Value], scalars: list[Value]
    ) -> None:
        self._builder, self._alignment = builder, alignment
        self._vector = ir.VectorType(element, WIDTH)
        self._places, self._scalars = places, scalars

    @property
    def is_single(self) -> bool:
        """Whether the numbers are float32, not float64."""
        return isinstance(self._vector.element, ir.FloatType)

    def read(self, place: int) -> Vector:
        """The numbers at a place."""
        address = self._address(place, self._vector)
        return Vector(self._builder, self._builder.load(address, align=self._alignment))

    def scalar(self, which: int) -> Vector:
        """A number that is the same for every neuron."""
        builder = self._builder
        return Vector(builder, spread(builder, self._scalars[which], WIDTH))

    def write(self, place: int, vector: Vector) -> None:
        """Write numbers."""
        address = self._address(place, self._vector)
        self._builder.store(vector.value, address, align=self._alignment)

    def write_bytes(self, place: int, vector: Vector) -> None:
        """Write numbers as bytes, to an array of them."""
        words = ir.VectorType(ir.IntType(8), WIDTH)
        self._builder.store(
            self._builder.fptoui(vector.value, words), self._address(place, words), align=1
        )

    def write_bits(self, place: int, vector: Vector) -> None:
        """Write which numbers are above zero, a bit each, to an array of bytes."""
        zero = ir.Constant(vector.value.type, None)
        holds = self._builder.fcmp_ordered(">", vector.value, zero)
        word = ir.IntType(WIDTH)
        bits = self._builder.bitcast(holds, word)
        self._builder.store(bits, self._address(place, word), align=1)

    def _address(self, place: int, vector: Any) -> Value:
        return self._builder.bitcast(self._places[place], vector.as_pointer())


def vector_kernel(body: Callable[[Places], object], arrays: str) -> Any:
    """A function for compiled code: ``kernel(memory, constants, target, places, scalars, count)``.

    Args:
        body: what is done with ``WIDTH`` neurons.
        arrays: which array each place lies in, one letter each: "m" the memory, "c" the constants,
            "t" the target, "b" the target where it holds a bit for each neuron.

    ``places`` is a tuple of uint64 and ``scalars`` one of the memory's numbers. ``count`` neurons
    from each place on are worked on, a multiple of ``WIDTH``.
    """

    @numba_intrinsic  # type: ignore[untyped-decorator]
    def kernel(
        typing_context: Any,  # noqa: ARG001 - numba's signature
        memory: Any,
        constants: Any,
        target: Any,
        places: Any,
        scalars: Any,
        count: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = {
                letter: context.make_array(array)(context, builder, argument).data
                for letter, array, argument in zip("mct", signature.args, arguments, strict=False)
            }
            unpack: Any = cgutils.unpack_tuple
            firsts, numbers = (unpack(builder, arguments[k]) for k in (3, 4))
            element = context.get_data_type(memory.dtype)
            alignment = element.get_abi_size(context.target_data)
            zero, step = (ir.Constant(arguments[5].type, n) for n in (0, WIDTH))
            with cgutils.for_range_slice(builder, zero, arguments[5], step, inc=True) as (i, _):
                here = []
                for letter, first in zip(arrays, firsts, strict=True):
                    shift = builder.lshr(i, i.type(3)) if letter == "b" else i
                    array = data["t" if letter == "b" else letter]
                    here.append(builder.gep(array, [builder.add(first, shift)]))
                body(Places(builder, element, alignment, here, numbers))
            return context.get_dummy_value()

        return types.void(memory, constants, target, places, scalars, count), generate

    return kernel
