"""Unpacks the LZ4 frames that AEDAT4 is made of, in a compiled loop.

    frame     magic, flags, block size, checksum of the header (7 bytes); blocks; 0 (u32)
    block     size u32 (highest bit: stored as it is); sequences
    sequence  token u8: number of literals << 4 | length of the match less 4 (15: more bytes of
              length follow, up to one that is not 255); literals; offset of the match u16; a
              block ends with literals

Only frames that begin as DV writes them are unpacked: blocks of 64 KiB, which refer to those
before or do not, no checksums of them, no stated size. Any other frame, and any that is damaged,
is left to the package lz4, which says what is wrong with it.

Events are 16 bytes each, so nearly all copies are of 8 bytes or fewer and overlap others a moment
before. They are made 8 bytes at a time: a wider load would have to wait for the stores that it
spans. On recordings of events this takes .5 to .6 of liblz4's time. Copies run up to 16 bytes
past their end, so both arrays have ``SLACK`` bytes more than are used.

Formats: github.com/lz4/lz4, doc/lz4_Frame_format.md and doc/lz4_Block_format.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

Bytes = npt.NDArray[np.uint8]
Integer = Any  # int64 in compiled code
SLACK = 64
_U4, _U8, _U15 = np.uint64(4), np.uint64(8), np.uint64(15)
_BLOCK_BYTES = 1 << 16
_HEADERS = (0xC04040184D2204, 0x824060184D2204)  # the first 7 bytes, the first one lowest
_HEADER_BYTES = 7
_numba_intrinsic: Any = intrinsic


@_numba_intrinsic  # type: ignore[untyped-decorator]
def _load(context: Any, array: Any, at: Any) -> Any:  # noqa: ARG001 - numba's signature
    """Eight bytes of an array as one number, the first in its lowest bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature.args[0], *arguments)
        return builder.load(address, align=1)

    return types.uint64(array, types.int64), generate


@_numba_intrinsic  # type: ignore[untyped-decorator]
def _store(context: Any, array: Any, at: Any, value: Any) -> Any:  # noqa: ARG001 - numba's signature
    """Write such a number to eight bytes of an array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], address, align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), generate


def _address(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), ir.PointerType(ir.IntType(64)))


@njit(cache=True, nogil=True)
def _copy(target: Bytes, at: Integer, source: Bytes, place: Integer, n_bytes: Integer) -> None:
    """Copy so many bytes and up to 7 more, 8 at a time."""
    for index in range(0, n_bytes, 8):
        _store(target, at + index, _load(source, place + index))


@njit(cache=True, nogil=True)
def _more_length(packed: Bytes, at: Integer, end: Integer) -> tuple[Integer, Integer]:
    """The rest of a length, and where it ends; after ``end`` if it does not."""
    length = np.int64(0)
    while at < end:
        part = np.int64(packed[np.uint64(at)])
        at += 1
        length += part
        if part != 255:
            return length, at
    return 0, end + 1


@njit(cache=True, nogil=True)
def _unpack_block(
    packed: Bytes, at: Integer, end: Integer, plain: Bytes, n_plain: Integer, most: Integer
) -> Integer:
    """Unpack one block behind the ``n_plain`` bytes there are, to at most ``most``.

    Returns:
        How many bytes there are then; -1 if the block is damaged or does not fit.
    """
    while at < end:
        word = _load(packed, at)  # token, up to 5 literals and the offset, as nearly always
        n_literals, n_match = np.int64(word >> _U4) & 15, np.int64(word & _U15) + 4
        if n_literals <= 5 and n_match <= 16 and at + 8 <= end:
            offset = np.int64(word >> np.uint64(8 * n_literals + 8)) & 0xFFFF
            behind = n_plain + n_literals
            if 8 <= offset <= behind <= most:
                _store(plain, n_plain, word >> _U8)
                _store(plain, behind, _load(plain, behind - offset))
                if n_match > 8:
                    _store(plain, behind + 8, _load(plain, behind + 8 - offset))
                n_plain = behind + n_match
                at += n_literals + 3
                continue
        at += 1
        if n_literals == 15:
            more, at = _more_length(packed, at, end)
            n_literals += more
        if at + n_literals > end or n_plain + n_literals > most:
            return -1
        _copy(plain, n_plain, packed, at, n_literals)
        at += n_literals
        n_plain += n_literals
        if at == end:
            return n_plain
        if at + 2 > end:
            return -1
        offset = np.int64(_load(packed, at)) & 0xFFFF
        at += 2
        if n_match == 19:
            more, at = _more_length(packed, at, end)
            n_match += more
        if offset == 0 or offset > n_plain or at > end or n_plain + n_match > most:
            return -1
        if offset >= 8:
            _copy(plain, n_plain, plain, n_plain - offset, n_match)
        else:  # what is copied is still being written
            for index in range(n_plain, n_plain + n_match):
                plain[index] = plain[index - offset]
        n_plain += n_match
    return -1


@njit(cache=True, nogil=True)
def unpack_lz4(packed: Bytes, start: Integer, end: Integer, plain: Bytes) -> Integer:
    """Unpack one frame.

    Args:
        packed: the frame lies in it, followed by ``SLACK`` bytes at least, (n_bytes,).
        start: where it begins.
        end: where it ends.
        plain: filled; its last ``SLACK`` bytes stay free, (n_bytes,).

    Returns:
        How many bytes were unpacked; -1 if the frame is of another kind, damaged, or does not fit.
    """
    if end - start < _HEADER_BYTES or end + SLACK > len(packed):
        return -1
    header = np.int64(_load(packed, start) & np.uint64(0xFFFFFFFFFFFFFF))
    if header != _HEADERS[0] and header != _HEADERS[1]:
        return -1
    n_plain: Integer = np.int64(0)
    at = start + _HEADER_BYTES
    while at + 4 <= end:
        size = np.int64(packed[np.uint64(at)]) | (np.int64(packed[np.uint64(at + 1)]) << 8)
        size |= (np.int64(packed[at + 2]) << 16) | (np.int64(packed[at + 3]) << 24)
        at += 4
        if size == 0:
            return n_plain if at == end else -1
        is_stored, size = size >> 31, size & 0x7FFFFFFF
        most = min(n_plain + _BLOCK_BYTES, len(plain) - SLACK)
        if at + size > end:
            return -1
        if is_stored:
            if n_plain + size > most:
                return -1
            _copy(plain, n_plain, packed, at, size)
            n_plain += size
        else:
            n_plain = _unpack_block(packed, at, at + size, plain, n_plain, most)
            if n_plain < 0:
                return -1
        at += size
    return -1
