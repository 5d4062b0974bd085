"""How loops are compiled: no lock held, kept on disk, the same bits on every CPU.

No fast-math: sums keep the order in which they are written, a product and a sum are never fused,
so a result depends neither on the vector width nor on which loop LLVM chose.
"""

from __future__ import annotations

import logging
import mmap
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit as numba_njit
from numba import types
from numba.extending import intrinsic

_LOG = logging.getLogger(__name__)
Function = TypeVar("Function", bound=Callable[..., Any])
Floats = npt.NDArray[Any]  # float32 or float64
Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[Any]  # int32 or int64
Keys = npt.NDArray[np.uint64]

njit: Any = numba_njit
Size = Any  # uint64 in compiled code
unsigned: Any = np.uint64
ZERO: Size = unsigned(0)  # a mere 0 would have a type of its own
ONE: Size = unsigned(1)
CACHE_LINE, HUGE_PAGE = 64, 1 << 21  # bytes
PADDING = 32  # neurons are padded to a multiple of this: vector loops then have no remainder


def compiled(function: Function) -> Function:
    """Compile on first use for the types given; the machine code is kept beside the source.

    numba discards kept code when the file of the *called* function changes. Kernels here call
    kernels of other files, so all files of the folder count. They count as a part of the version,
    which numba looks at before it unpickles an index: that of an older release may name types
    that have moved since. Where no folder can be written, the code lives as long as the process.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        dispatcher = njit(cache=True, **options)(function)
    except RuntimeError as error:  # numba has no exception of its own for it
        if "no locator available" not in str(error):
            raise
        _warn_of_no_folder()
        dispatcher = njit(**options)(function)
    index = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if index is not None and hasattr(index, "_version"):
        index._version = (index._version, _kernel_stamp())
    return cast(Function, dispatcher)


def part(function: Function) -> Function:
    """Compile for other compiled code only: without wrappers, it cannot be called from Python.

    It does not count references (``_nrt``), which would take longer than a short part's work: the
    arrays belong to the caller, and none may be made.
    """
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
    return cast(Function, njit(nogil=True, error_model="numpy", **options)(function))


def forced(function: Function) -> Function:
    """``part`` that LLVM puts into its callers: the call would take as long as the work."""
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
    return cast(
        Function, njit(nogil=True, error_model="numpy", forceinline=True, **options)(function)
    )


def inlined(function: Function) -> Function:
    """Compile as a part of its callers."""
    return cast(Function, njit(inline="always", error_model="numpy")(function))


def padded(n_neurons: int) -> int:
    """The next multiple of ``PADDING``."""
    return -(-n_neurons // PADDING) * PADDING


def aligned_zeros(n_numbers: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Zeros that begin at a cache line; many of them in huge pages where the system has such.

    A vector that crosses a line is read twice; rows of weights lie on hundreds of ordinary pages.
    """
    n_bytes = n_numbers * np.dtype(dtype).itemsize
    raw: npt.NDArray[np.uint8]
    alignment = HUGE_PAGE if n_bytes >= HUGE_PAGE // 2 else CACHE_LINE
    room = -(-n_bytes // alignment) * alignment + alignment
    if alignment == HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        pages = mmap.mmap(-1, room)
        with suppress(OSError):  # a system that could have them and has none
            pages.madvise(mmap.MADV_HUGEPAGE)
        raw = np.frombuffer(pages, np.uint8)
    else:
        raw = np.zeros(room, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + n_bytes].view(dtype)


@lru_cache(maxsize=1)
def _warn_of_no_folder() -> None:
    """Say once that compiled code is not kept; numba unpickles it, so no shared folder will do."""
    _LOG.warning(
        "compiled code cannot be kept and is made anew at every start (half a minute): neither "
        "the installation nor the user's cache folder can be written. Set NUMBA_CACHE_DIR to a "
        "folder that only this user can write"
    )


@lru_cache(maxsize=1)
def _kernel_stamp() -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of every file that holds kernels."""
    files = sorted((file.name, file.stat()) for file in Path(__file__).parent.glob("*.py"))
    return tuple((name, status.st_mtime_ns, status.st_size) for name, status in files)


numba_intrinsic: Any = intrinsic


@numba_intrinsic  # type: ignore[untyped-decorator]
def float32_of_bits(typing_context: Any, bits: Any) -> Any:  # noqa: ARG001 - numba's signature
    """The float32 with the bits of an int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return types.float32(types.int32), generate


@numba_intrinsic  # type: ignore[untyped-decorator]
def float64_of_bits(typing_context: Any, bits: Any) -> Any:  # noqa: ARG001 - numba's signature
    """The float64 with the bits of an int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return types.float64(types.int64), generate


@numba_intrinsic  # type: ignore[untyped-decorator]
def trailing_zeros(typing_context: Any, word: Any) -> Any:  # noqa: ARG001 - numba's signature
    """How many zeros follow the last one bit of a uint64; 64 for zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return word(word), generate


@numba_intrinsic  # type: ignore[untyped-decorator]
def set_bits(typing_context: Any, word: Any) -> Any:  # noqa: ARG001 - numba's signature
    """How many bits of a uint64 are one."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.ctpop(arguments[0])

    return word(word), generate


@numba_intrinsic  # type: ignore[untyped-decorator]
def eight_bytes(typing_context: Any, values: Any, place: Any) -> Any:  # noqa: ARG001 - numba's signature
    """Eight elements of a contiguous uint8 array as one uint64, the first in its lowest bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(array.data, [arguments[1]])
        address = builder.bitcast(address, ir.PointerType(ir.IntType(64)))
        return builder.load(address, align=1)

    return types.uint64(values, place), generate


@numba_intrinsic  # type: ignore[untyped-decorator]
def bits_of_bytes(typing_context: Any, values: Any, place: Any) -> Any:  # noqa: ARG001 - numba's signature
    """Which of 64 elements of a contiguous uint8 array are not 0, the first in the lowest bit."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        elements = ir.VectorType(ir.IntType(8), 64)
        address = builder.gep(array.data, [arguments[1]])
        loaded = builder.load(builder.bitcast(address, elements.as_pointer()), align=1)
        are_there = builder.icmp_unsigned("!=", loaded, ir.Constant(elements, None))
        return builder.bitcast(are_there, ir.IntType(64))

    return types.uint64(values, place), generate
